"""Find the good images that are most similar to an image, by their pooled features.

A gallery of a few thousand images is one product of a matrix and a vector. The images that its
rounding could let in are measured again in float64, so that the same images are found on every
processor, and of equally near ones those with the lowest numbers.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge_ad_runtime.search import Search

_BLOCK_ROWS = 1024


class NearestImages(NamedTuple):
    """The K most similar good images, the most similar first.

    Attributes:
        rows: ``(K,)``, their numbers in the gallery.
        sq_distances: ``(K,)``, squared L2 distances of the pooled features.
    """

    rows: NDArray[np.int64]
    sq_distances: NDArray[np.float64]


class Gallery:
    """The pooled features of good images.

    Args:
        features: ``(N, d)`` float32.
        index: an approximate search of the same rows that gives the K nearest of a single query for
            certain, as `HnswSearch` does. With None all rows are compared.
    """

    def __init__(self, features: NDArray[np.float32], index: Search | None = None) -> None:
        self.features = features
        self._index = index
        self._half_sq_norms = np.einsum("nd,nd->n", features, features) / 2

    @property
    def is_indexed(self) -> bool:
        """Whether an index proposes the nearest images."""
        return self._index is not None

    def nearest(
        self, query: NDArray[np.float32], k: int, *, without: int | NDArray[np.int64] | None = None
    ) -> NearestImages:
        """The ``k`` images nearest to a ``(d,)`` query. The gallery has at least k others.

        Args:
            query: the pooled feature of an image.
            k: how many images are found.
            without: the number of the image itself, if it is in the gallery, or the numbers of all
                images of its part. They are passed over.
        """
        if self._index is not None and without is None:
            rows = np.sort(self._index.nearest(query[np.newaxis], k).rows[0])
        else:
            rows = self._candidates(query, k, without)
        sq_distances = _measured(query, self.features[rows])
        kept = nearest_of(sq_distances, k)
        return NearestImages(rows[kept], sq_distances[kept])

    def sq_distances(self, query: NDArray[np.float32]) -> NDArray[np.float64]:
        """The squared distances of a ``(d,)`` query to all images, ``(N,)``."""
        starts = range(0, len(self.features), _BLOCK_ROWS)
        blocks = [_measured(query, self.features[at : at + _BLOCK_ROWS]) for at in starts]
        return np.concatenate(blocks)

    def close(self) -> None:
        """Give back the index's threads. Nothing may be searched afterwards."""
        if self._index is not None:
            self._index.close()

    def _candidates(
        self, query: NDArray[np.float32], k: int, without: int | NDArray[np.int64] | None
    ) -> NDArray[np.int64]:
        """All images that could be among the k nearest, rising.

        |q - b|^2 / 2 = |q|^2 / 2 - (q.b - |b|^2 / 2). A float32 sum of d products is off by d units
        in the last place of the sum of their magnitudes at most (Higham 2002, section 3.1).
        """
        closeness = self.features @ query - self._half_sq_norms  # (N,)
        if without is not None:
            closeness[without] = -np.inf
        largest = float(self._half_sq_norms.max())
        magnitude = float(np.linalg.norm(query)) * (2 * largest) ** 0.5 + largest
        slack = 2 * len(query) * float(np.finfo(np.float32).eps) * magnitude
        kth = np.partition(closeness, -k)[-k]
        return np.flatnonzero(closeness >= kth - slack)


def nearest_of(sq_distances: NDArray[np.float64], k: int) -> NDArray[np.int64]:
    """Where the k smallest of ``(n,)`` distances are, in rising order, and of ties the first.

    >>> nearest_of(np.array([4.0, 1.0, 4.0, 0.0]), 3).tolist()
    [3, 1, 0]
    """
    return np.asarray(sq_distances.argsort(kind="stable")[:k])


def _measured(query: NDArray[np.float32], rows: NDArray[np.float32]) -> NDArray[np.float64]:
    """Squared distances ``(n,)`` from the differences themselves, in float64."""
    difference = rows.astype(np.float64) - query
    return np.asarray(np.einsum("nd,nd->n", difference, difference))
