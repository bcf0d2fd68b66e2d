"""Mean and covariance of many features, which may be on disk."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_BLOCK_ROWS = 8192


@dataclass(frozen=True)
class Moments:
    """Mean ``(D,)`` and covariance ``(D, D)`` of patch features, float64."""

    mean: NDArray[np.float64]
    covariance: NDArray[np.float64]


def moments(patches: NDArray[np.float32]) -> Moments:
    """The moments of ``(N, D)`` patches. They may be on disk and are read once, in blocks."""
    shift = patches[:_BLOCK_ROWS].mean(axis=0, dtype=np.float64)  # less cancellation
    total, products = np.zeros_like(shift), np.zeros((len(shift), len(shift)))
    for start in range(0, len(patches), _BLOCK_ROWS):
        block = patches[start : start + _BLOCK_ROWS] - shift
        total += block.sum(axis=0)
        products += block.T @ block
    mean = total / len(patches)
    return Moments(shift + mean, products / len(patches) - np.outer(mean, mean))
