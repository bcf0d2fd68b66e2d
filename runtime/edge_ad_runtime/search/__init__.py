"""Find the nearest bank patches of every query patch, exactly or through an HNSW index."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from edge_ad_runtime.errors import ShapeError


class Nearest(NamedTuple):
    """For each query its k nearest bank rows, nearest first.

    Attributes:
        distances: ``(q, k)`` float32, plain L2, not squared. They are measured in full precision on
            those rows, so an approximate search's can be too large but never too small.
        rows: ``(q, k)`` int64, the numbers of the bank's rows.
        scanned: how many of the queries were compared with every bank row.
        bound: the largest patch distance among the other queries, which is an upper bound of the
            true one. It is 0 if there are no other queries.
    """

    distances: NDArray[np.float32]
    rows: NDArray[np.int64]
    scanned: int
    bound: float


class Search(Protocol):
    """What every search can do. It is safe to call from several threads.

    The largest patch distance, on which the verdict hangs, is exact in every search, and so are
    the rows nearest to that patch. In an approximate search the other distances may be too large.
    """

    kind: str

    def nearest(self, queries: NDArray[np.float32], k: int = 1) -> Nearest:
        """Find the ``k`` nearest bank rows of each of ``(q, D)`` queries. The bank has at least k.

        Raises:
            ShapeError: the queries are not ``(q, D)`` of this bank's D.
        """

    def close(self) -> None:
        """Give back the search's threads. Nothing may be searched afterwards."""


def check_queries(queries: NDArray[np.float32], dimension: int) -> None:
    """Refuse queries of the wrong width (hnswlib would read past the array)."""
    if queries.ndim != 2 or queries.shape[1] != dimension:
        raise ShapeError(f"queries have shape {queries.shape}, the bank holds (n, {dimension})")


def measured(
    queries: NDArray[np.float32], bank: NDArray[np.float32], rows: NDArray[np.int64]
) -> Nearest:
    """Measure query i to the bank rows ``rows[i]``, ``(q, k)``, and sort them nearest first.

    ``scanned`` and ``bound`` are set as for an exhaustive search. Distances are taken from the
    differences themselves, because the expansion |q|^2 - 2qb + |b|^2 cancels badly when q is near
    b.
    """
    difference = queries[:, np.newaxis] - bank[rows]  # (q, k, D)
    distances = np.sqrt(np.einsum("qkd,qkd->qk", difference, difference))
    if rows.shape[1] > 1:
        order = distances.argsort(axis=1, kind="stable")
        distances = np.take_along_axis(distances, order, axis=1)
        rows = np.take_along_axis(rows, order, axis=1)
    return Nearest(distances, rows, len(queries), 0.0)


def mean_distances(distances: NDArray[np.float32], *, squared: bool) -> NDArray[np.float32]:
    """The mean of each patch's distances to its k nearest rows: ``(q, k)`` to ``(q,)``.

    With ``squared``, it is the mean of the squared distances.
    """
    return np.asarray((np.square(distances) if squared else distances).mean(axis=1))
