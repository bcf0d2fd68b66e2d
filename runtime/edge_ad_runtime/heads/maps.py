"""Values on a network's grid become a map of the input's size."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_ad_runtime.artifact.head_records import MapSettings
from edge_ad_runtime.errors import ShapeError

FloatArray = NDArray[np.float32]

_INTERPOLATION = {"bilinear": cv2.INTER_LINEAR, "nearest": cv2.INTER_NEAREST}
_BORDER = {"reflect": cv2.BORDER_REFLECT, "mirror": cv2.BORDER_REFLECT_101}


def patch_score_map(distances: FloatArray, grid: tuple[int, int]) -> FloatArray:
    """Lay one distance per patch back onto the image's patch grid.

    Args:
        distances: ``(rows * cols,)`` L2 distances, row-major, never negative.
        grid: ``(rows, cols)`` of the network's output, from the manifest.

    Returns:
        ``(rows, cols)`` float32, in which 0 means that the patch is in the bank.

    Raises:
        ShapeError: the number of distances is not ``rows * cols``.

    >>> patch_score_map(np.array([0, 1, 4, 9], np.float32), grid=(2, 2)).tolist()
    [[0.0, 1.0], [4.0, 9.0]]
    """
    if distances.shape != (grid[0] * grid[1],):
        raise ShapeError(f"{distances.shape} distances do not fill a grid of {grid}")
    return distances.reshape(grid)


def anomaly_map(
    values: FloatArray, grid: tuple[int, int], size: tuple[int, int], settings: MapSettings
) -> FloatArray:
    """Enlarge values of patches to the input size, and blur them by a gaussian cut off at 4 sigma.

    Args:
        values: ``(rows * cols,)``, row-major.
        grid: ``(rows, cols)``.
        size: ``(height, width)`` in pixels.
        settings: how to enlarge and blur. A blur of 0 pixels leaves the enlarged values as they
            are.

    Returns:
        ``size`` float32, in the values' unit.
    """
    return blurred(enlarged(patch_score_map(values, grid), size, settings), settings)


def enlarged(patches: FloatArray, size: tuple[int, int], settings: MapSettings) -> FloatArray:
    """Values on a grid ``(rows, cols)`` enlarged to ``size``, ``(height, width)``."""
    height, width = size
    how = _INTERPOLATION[settings.upsampling]
    return np.asarray(cv2.resize(patches, (width, height), interpolation=how), np.float32)


def blurred(values: FloatArray, settings: MapSettings) -> FloatArray:
    """A map ``(height, width)`` blurred by the gaussian. 0 pixels leave it as it is."""
    sigma = settings.blur_sigma_px
    if sigma == 0:
        return values
    side = 2 * int(4 * sigma + 0.5) + 1
    smooth = cv2.GaussianBlur(values, (side, side), sigma, borderType=_BORDER[settings.border])
    return np.asarray(smooth, np.float32)
