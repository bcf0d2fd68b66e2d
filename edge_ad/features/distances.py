"""Squared distances from rows to centres, in two ways that `Greedy` chooses by.

Distances from matrix products carry an error in proportion to the rows' norms. Where that shows
(copies, tight clusters), they are summed from differences instead.
"""

from __future__ import annotations

from typing import Protocol

import torch
from scipy.spatial.distance import cdist
from torch import Tensor

_TILE = (1_024, 2_048)  # rows x centres of one matrix product, 8 MB
TILE_ROWS = _TILE[0]


class Metric(Protocol):
    """Squared distances between rows, which are named by their numbers."""

    rows: Tensor

    def error(self, indices: Tensor) -> Tensor:
        """About how far the squared distances of each row may be off: ``(r,)``."""

    def centres(self, indices: Tensor) -> Tensor:
        """Rows in the form that `to_nearest` and `between` take as centres."""

    def as_centres(self, vectors: Tensor) -> Tensor:
        """The same for rows that may be another metric's, of the same kind."""

    def to_nearest(self, indices: Tensor, centres: Tensor) -> Tensor:
        """From each row to the nearest of ``(c, ...)`` centres: ``(r,)``."""

    def between(self, indices: Tensor, centres: Tensor) -> Tensor:
        """From each row to each centre: ``(r, c)``."""


class Differences:
    """Summed from differences in float64: 0 between equal rows, and equal where rows tie."""

    def __init__(self, rows: Tensor) -> None:
        self.rows = rows

    def error(self, indices: Tensor) -> Tensor:
        """See `Metric.error`."""
        return torch.zeros(len(indices), device=self.rows.device)

    def centres(self, indices: Tensor) -> Tensor:
        """See `Metric.centres`."""
        return self.rows[indices]

    def as_centres(self, vectors: Tensor) -> Tensor:
        """See `Metric.as_centres`."""
        return vectors.to(self.rows.device)

    def to_nearest(self, indices: Tensor, centres: Tensor) -> Tensor:
        """See `Metric.to_nearest`."""
        parts = (self.between(indices, part).amin(dim=1) for part in torch.split(centres, _TILE[0]))
        return torch.stack(list(parts)).amin(dim=0)

    def between(self, indices: Tensor, centres: Tensor) -> Tensor:
        """See `Metric.between`."""
        distances = cdist(self.rows[indices].cpu(), centres.cpu(), "sqeuclidean")
        return torch.from_numpy(distances).to(self.rows)  # device and dtype


class Products:
    """float32, from matrix products: |r - c|^2 = |r|^2 - 2 (r.c - |c|^2 / 2).

    Rows carry a last column of 1 and centres one of -|c|^2 / 2, so that one product gives the
    bracket. Rows must be `centred`: float32 loses what the norms exceed the distances by.
    """

    def __init__(self, rows: Tensor) -> None:
        self.rows = rows
        self._sq_norms = _sq_norms(rows)
        self._tile = torch.empty(_TILE[0] * _TILE[1], device=rows.device)

    def error(self, indices: Tensor) -> Tensor:
        """See `Metric.error`."""
        return torch.finfo(torch.float32).eps * self._sq_norms[indices]

    def centres(self, indices: Tensor) -> Tensor:
        """See `Metric.centres`."""
        return self.as_centres(self.rows[indices])

    def as_centres(self, vectors: Tensor) -> Tensor:
        """See `Metric.as_centres`."""
        centres = vectors.to(self.rows.device, copy=True)
        centres[:, -1] = -_sq_norms(centres) / 2
        return centres

    def to_nearest(self, indices: Tensor, centres: Tensor) -> Tensor:
        """See `Metric.to_nearest`."""
        rows = self.rows[indices]
        closeness = torch.full((len(rows),), -torch.inf, device=rows.device)
        for part in torch.split(centres, _TILE[1]):
            products = self._tile[: len(rows) * len(part)].view(len(rows), len(part))
            torch.mm(rows, part.T, out=products)
            torch.maximum(closeness, products.amax(dim=1), out=closeness)
        return (self._sq_norms[indices] - 2 * closeness).clamp_(min=0)

    def between(self, indices: Tensor, centres: Tensor) -> Tensor:
        """See `Metric.between`."""
        products = torch.mm(self.rows[indices], centres.T)
        return (self._sq_norms[indices, None] - 2 * products).clamp_(min=0)


def _sq_norms(rows: Tensor) -> Tensor:
    norms: Tensor = torch.linalg.vector_norm(rows[:, :-1], dim=1)
    return norms.square()


def sampled(rows: Tensor, first: int, total: int) -> Tensor:
    """Every n-th of all rows, about 4,096 of them, as far as they are here.

    Args:
        rows: ``(n, d + 1)``, some of all rows.
        first: the number of the first of them among all.
        total: how many rows there are in all.
    """
    step = max(1, total // 4096)
    return rows[-first % step :: step, :-1]


def centre_of(sample: Tensor) -> Tensor:
    """The median of a sample ``(m, d)``, which one outlier does not move: ``(d,)``."""
    return sample.median(dim=0).values


def centred(rows: Tensor, centre: Tensor) -> Tensor:
    """Rows ``(N, d + 1)`` as `Products` takes them. They are changed in place."""
    rows[:, :-1] -= centre
    rows[:, -1] = 1
    return rows
