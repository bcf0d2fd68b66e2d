"""Exact search: one matrix product against the memory-mapped bank, block by block."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge_ad_runtime.search import Nearest, check_queries, measured

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

    def nearest(self, queries: NDArray[np.float32], k: int = 1) -> Nearest:
        """See `Search.nearest`."""
        check_queries(queries, self._bank.shape[1])
        best = np.empty((len(queries), 0), np.float32)
        rows = np.empty((len(queries), 0), np.int64)
        for start in range(0, len(self._bank), _BLOCK_ROWS):
            block = slice(start, start + _BLOCK_ROWS)
            closeness = queries @ self._bank[block].T  # (q, block)
            closeness -= self._half_sq_norms[block]
            winners = _largest(closeness, k)
            best = np.hstack([best, np.take_along_axis(closeness, winners, axis=1)])
            rows = np.hstack([rows, winners + start])
            kept = _largest(best, k)
            best = np.take_along_axis(best, kept, axis=1)
            rows = np.take_along_axis(rows, kept, axis=1)
        return measured(queries, self._bank, rows)


def _largest(values: NDArray[np.float32], k: int) -> NDArray[np.int64]:
    """Columns of each row's k largest values, in any order: ``(q, k)``."""
    if k == 1:
        return np.asarray(values.argmax(axis=1)[:, np.newaxis])
    count = values.shape[1]
    if count <= k:
        return np.broadcast_to(np.arange(count), values.shape)
    return np.argpartition(values, count - k, axis=1)[:, count - k :]
