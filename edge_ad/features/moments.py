"""Mean and covariance of many features, which may be on disk."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_ad.features.projection import Rows

_BLOCK_ROWS = 8192


@dataclass(frozen=True)
class Moments:
    """Mean ``(D,)`` and covariance ``(D, D)`` of patch features, float64."""

    mean: NDArray[np.float64]
    covariance: NDArray[np.float64]


@dataclass(frozen=True)
class Sums:
    """What moments are made of. Sums of parts may be added, if their shifts are the same.

    Attributes:
        shift: ``(D,)``, what was subtracted of each row first, so that less cancels.
        number: how many rows there were.
        total: ``(D,)``, the sum of the rows.
        products: ``(D, D)``, the sum of their products.
    """

    shift: NDArray[np.float64]
    number: int
    total: NDArray[np.float64]
    products: NDArray[np.float64]

    def __add__(self, other: Sums) -> Sums:
        return Sums(
            self.shift,
            self.number + other.number,
            self.total + other.total,
            self.products + other.products,
        )

    def moments(self) -> Moments:
        """The moments of all rows."""
        mean = self.total / self.number
        covariance = self.products / self.number - np.outer(mean, mean)
        return Moments(self.shift + mean, covariance)


def shift_of(patches: Rows) -> NDArray[np.float64]:
    """A shift for `sums`: the mean of the first rows of ``(N, D)``."""
    return np.asarray(patches[:_BLOCK_ROWS].mean(axis=0, dtype=np.float64))


def sums(patches: Rows, shift: NDArray[np.float64]) -> Sums:
    """The sums over ``(N, D)`` patches. They may be on disk and are read once, in blocks."""
    total, products = np.zeros_like(shift), np.zeros((len(shift), len(shift)))
    for start in range(0, len(patches), _BLOCK_ROWS):
        block = patches[start : start + _BLOCK_ROWS] - shift
        total += block.sum(axis=0)
        products += block.T @ block
    return Sums(shift, len(patches), total, products)


def moments(patches: Rows) -> Moments:
    """The moments of ``(N, D)`` patches. They may be on disk."""
    return sums(patches, shift_of(patches)).moments()
