"""Nearest bank patch of every query patch: exact, or through an HNSW index."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from edge_ad_runtime.errors import ShapeError


class Nearest(NamedTuple):
    """For each query its nearest bank row.

    Attributes:
        distances: ``(q,)`` float32, L2, not squared; measured in full precision on that row, so
            an approximate search can be too large but never too small.
        rows: ``(q,)`` int64, row numbers of the bank.
    """

    distances: NDArray[np.float32]
    rows: NDArray[np.int64]


class Search(Protocol):
    """What every search can do; safe to call from several threads."""

    kind: str

    def nearest(self, queries: NDArray[np.float32]) -> Nearest:
        """Nearest bank row of each of ``(q, D)`` queries.

        Raises:
            ShapeError: the queries are not ``(q, D)`` of this bank's D.
        """


def check_queries(queries: NDArray[np.float32], dimension: int) -> None:
    """Refuse queries of the wrong width (hnswlib would read past the array)."""
    if queries.ndim != 2 or queries.shape[1] != dimension:
        raise ShapeError(f"queries have shape {queries.shape}, the bank holds (n, {dimension})")


def distances_to_rows(
    queries: NDArray[np.float32], bank: NDArray[np.float32], rows: NDArray[np.int64]
) -> NDArray[np.float32]:
    """L2 distance of query i to bank row ``rows[i]``, from the differences themselves.

    The expansion |q|^2 - 2qb + |b|^2 cancels badly when q is near b; this does not.
    """
    difference = queries - bank[rows]  # (q, D)
    return np.asarray(np.sqrt(np.einsum("qd,qd->q", difference, difference)))
