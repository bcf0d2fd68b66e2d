"""Exact search, by one matrix product against the bank, block by block."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge_ad_runtime.search import Nearest, check_queries, measured

_BLOCK_ROWS = 4096


class ExactSearch:
    """The truth that the index is measured against: argmin over the bank of |q - b|.

    |q - b|^2 = |q|^2 + 2 (|b|^2 / 2 - q.b), so the largest q.b - |b|^2 / 2 wins. The winner's
    distance is then measured directly, so float32 rounding can only swap rows that are equally
    near.

    Attributes:
        bank: ``(n, D)``.
        half_sq_norms: ``(n,)``, |b|^2 / 2.
    """

    kind = "exact"

    def __init__(self, bank: NDArray[np.float32]) -> None:
        self.bank = bank
        self.half_sq_norms = np.einsum("nd,nd->n", bank, bank) / 2

    def nearest(self, queries: NDArray[np.float32], k: int = 1) -> Nearest:
        """See `Search.nearest`."""
        check_queries(queries, self.bank.shape[1])
        best = _Best(len(queries), k)
        for start in range(0, len(self.bank), _BLOCK_ROWS):
            block = slice(start, start + _BLOCK_ROWS)
            closeness = queries @ self.bank[block].T  # (q, block)
            closeness -= self.half_sq_norms[block]
            best.offer(closeness, start)
        return measured(queries, self.bank, best.rows)

    def close(self) -> None:
        """See `Search.close`. This search has no threads of its own."""


class _Best:
    """The k largest values that each query has been offered, in any order, and their bank rows."""

    def __init__(self, queries: int, k: int) -> None:
        self.values = np.full((queries, k), -np.inf, np.float32)
        self.rows = np.zeros((queries, k), np.int64)

    def offer(self, values: NDArray[np.float32], first_row: int) -> None:
        """Offer values ``(q, block)`` of the bank rows from ``first_row`` on.

        After the first block few values are among the k best. So those above the k-th are found by
        one comparison, and only they are sorted in.
        """
        k = self.values.shape[1]
        if k == 1 or first_row == 0:
            at = _largest(values, k)
            self._merge(slice(None), np.take_along_axis(values, at, axis=1), at + first_row)
            return
        found = np.flatnonzero(values > self.values.min(axis=1, keepdims=True))
        query, row = np.divmod(found, values.shape[1])
        counts = np.bincount(query, minlength=len(values))
        affected = np.flatnonzero(counts)
        if len(affected) == 0:
            return
        # one line per affected query, its values from the left
        line = (np.cumsum(counts > 0) - 1)[query]
        column = np.arange(len(found)) - (np.cumsum(counts) - counts)[query]
        offered = np.full((len(affected), counts.max()), -np.inf, np.float32)
        rows = np.zeros(offered.shape, np.int64)
        offered[line, column] = values.ravel()[found]
        rows[line, column] = row + first_row
        self._merge(affected, offered, rows)

    def _merge(
        self,
        queries: NDArray[np.int64] | slice,
        values: NDArray[np.float32],
        rows: NDArray[np.int64],
    ) -> None:
        k = self.values.shape[1]
        values = np.hstack([self.values[queries], values])
        rows = np.hstack([self.rows[queries], rows])
        kept = _largest(values, k)
        self.values[queries] = np.take_along_axis(values, kept, axis=1)
        self.rows[queries] = np.take_along_axis(rows, kept, axis=1)


def _largest(values: NDArray[np.float32], k: int) -> NDArray[np.int64]:
    """The columns of each row's k largest values (all, if fewer), in any order, ``(q, k)``."""
    if k == 1:
        return np.asarray(values.argmax(axis=1)[:, np.newaxis])
    k = min(k, values.shape[1])
    return np.argpartition(values, -k, axis=1)[:, -k:]
