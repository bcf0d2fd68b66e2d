"""Exact search: one matrix product against the memory-mapped bank, block by block."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge_ad_runtime.search import Nearest, check_queries, distances_to_rows

_BLOCK_ROWS = 4096


class ExactSearch:
    """The truth the index is measured against: argmin over the bank of |q - b|.

    |q - b|^2 = |q|^2 + 2 (|b|^2 / 2 - q.b), so the largest q.b - |b|^2 / 2 wins. The winner's
    distance is then measured directly; float32 rounding can only swap rows that are equally near.
    """

    kind = "exact"

    def __init__(self, bank: NDArray[np.float32]) -> None:
        self._bank = bank  # (n, D)
        self._half_sq_norms = np.einsum("nd,nd->n", bank, bank) / 2

    def nearest(self, queries: NDArray[np.float32]) -> Nearest:
        """See `Search.nearest`."""
        check_queries(queries, self._bank.shape[1])
        every = np.arange(len(queries))
        best = np.full(len(queries), -np.inf, np.float32)
        rows = np.zeros(len(queries), np.int64)
        for start in range(0, len(self._bank), _BLOCK_ROWS):
            block = slice(start, start + _BLOCK_ROWS)
            closeness = queries @ self._bank[block].T  # (q, block)
            closeness -= self._half_sq_norms[block]
            winner = closeness.argmax(axis=1)
            value = closeness[every, winner]
            better = value > best
            best[better] = value[better]
            rows[better] = winner[better] + start
        return Nearest(distances_to_rows(queries, self._bank, rows), rows)
