"""From patch distances to one score and one map (PatchCore, Roth et al. 2022, section 3.3)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_ad_runtime.artifact.manifest import Scoring
from edge_ad_runtime.errors import ShapeError
from edge_ad_runtime.search import Nearest, mean_distances

FloatArray = NDArray[np.float32]
T = TypeVar("T", float, NDArray[np.float32])

_INTERPOLATION = {"bilinear": cv2.INTER_LINEAR, "nearest": cv2.INTER_NEAREST}
_BORDER = {"reflect": cv2.BORDER_REFLECT, "mirror": cv2.BORDER_REFLECT_101}


def patch_score_map(distances: FloatArray, grid: tuple[int, int]) -> FloatArray:
    """Lay one distance per patch back onto the image's patch grid.

    Args:
        distances: ``(rows * cols,)`` L2 distances, row-major, never negative.
        grid: ``(rows, cols)`` of the network's output, from the manifest.

    Returns:
        ``(rows, cols)`` float32; 0 means the patch is in the bank.

    Raises:
        ShapeError: the number of distances is not ``rows * cols``.

    >>> patch_score_map(np.array([0, 1, 4, 9], np.float32), grid=(2, 2)).tolist()
    [[0.0, 1.0], [4.0, 9.0]]
    """
    if distances.shape != (grid[0] * grid[1],):
        raise ShapeError(f"{distances.shape} distances do not fill a grid of {grid}")
    return distances.reshape(grid)


def patch_distances(nearest: Nearest, scoring: Scoring) -> FloatArray:
    """One distance per patch, ``(q,)``: the mean over its k nearest bank patches."""
    return mean_distances(nearest.distances, squared=scoring.squared)


def anomaly_map(
    distances: FloatArray, grid: tuple[int, int], size: tuple[int, int], scoring: Scoring
) -> FloatArray:
    """Patch distances, enlarged to the input size and blurred by a gaussian cut off at 4 sigma.

    Returns:
        ``size`` float32, in the distances' unit.
    """
    patches = patch_score_map(distances, grid)
    height, width = size
    how = _INTERPOLATION[scoring.upsampling]
    enlarged = cv2.resize(patches, (width, height), interpolation=how)
    sigma = scoring.blur_sigma_px
    side = 2 * int(4 * sigma + 0.5) + 1
    blurred = cv2.GaussianBlur(enlarged, (side, side), sigma, borderType=_BORDER[scoring.border])
    return np.asarray(blurred, np.float32)


def combine(values: Sequence[T], scales: Sequence[float]) -> T:
    """The answer of an ensemble: the mean of its members' scores or maps, on one scale.

    >>> combine([3.0, 10.0], scales=[2.0, 10.0])
    1.25
    """
    first, *rest = (value / scale for value, scale in zip(values, scales, strict=True))
    total = sum(rest, start=first)
    return total / len(values)  # type: ignore[return-value]  # float32 / float is float32


def image_score(
    features: FloatArray,
    distances: FloatArray,
    nearest: Nearest,
    bank: FloatArray,
    bank_neighbours: NDArray[np.int32] | None,
) -> float:
    """The largest patch distance (equation 6), re-weighted (equation 7) where neighbours are given.

    With m_test* the farthest patch, m* its nearest bank patch and N_b(m*) the b bank patches
    nearest to m* (m* itself counted):

        s* = |m_test* - m*|,   s = (1 - exp(s*) / sum over m in N_b(m*) of exp|m_test* - m|) s*

    Args:
        features: ``(q, D)`` patch features.
        distances: ``(q,)`` from `patch_distances`.
        nearest: of those features.
        bank: ``(n, D)``.
        bank_neighbours: ``(n, b)`` the b bank rows nearest to each bank row; None: equation 6.

    Returns:
        A raw distance, never clamped or rescaled.
    """
    farthest = int(distances.argmax())
    score = float(distances[farthest])
    if bank_neighbours is None:
        return score
    support = bank[bank_neighbours[nearest.rows[farthest, 0]]]  # (b, D)
    to_support = np.linalg.norm(features[farthest] - support, axis=1).astype(np.float64)
    # exp(d*) / sum exp(d) = 1 / sum exp(d - d*): no overflow for distances of any size
    beyond = to_support - float(nearest.distances[farthest, 0])
    weight = 1 - 1 / np.exp(np.minimum(beyond, 700)).sum()
    return float(weight * score)
