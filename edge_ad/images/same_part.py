"""Good images that show the same part: copies of a file, and shots of a part that did not move.

Such images know one another's scores beforehand. If one is learned from and the other sets the
threshold, the threshold is too low. So they are found, kept together, and count as one part.

Shots of one part differ by a camera's noise and by exposure, which averaging over blocks and a
common mean take out. Two other parts may look alike too, where all lie in the same place. So shots
of one part must also be far more alike than either is to most other images. A part that was taken
up and laid down again is not found.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_ad_runtime.images import RGBImage

_SIDE = 32  # blocks of a thumbnail, in rows and in columns
_NOISE = 2.0  # grey levels, root mean square over blocks
_FAR_MORE_ALIKE = 0.5  # of the distance to the image that a quarter of the others are nearer than
_AT_ONCE = 1024


def thumbnail(image: RGBImage) -> NDArray[np.float32]:
    """The block means ``(_SIDE * _SIDE * 3,)`` of an ``(H, W, 3)`` image, in grey levels."""
    small = cv2.resize(image.astype(np.float32), (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
    return np.asarray(small.ravel(), np.float32)


def parts_of(thumbnails: NDArray[np.float32], digests: Sequence[str]) -> NDArray[np.int64]:
    """For each image the number of the first image that shows the same part.

    Args:
        thumbnails: ``(N, d)`` of `thumbnail`.
        digests: of the N files. Files that are equal show the same part.

    Returns:
        ``(N,)``. It is 0, 1, 2 ... where all show different parts.
    """
    parts = np.arange(len(digests))
    first: dict[str, int] = {}
    for i, digest in enumerate(digests):
        _join(parts, first.setdefault(digest, i), i)
    for i, j in _near_pairs(thumbnails):
        _join(parts, i, j)
    return parts


def _join(parts: NDArray[np.int64], i: int, j: int) -> None:
    one, other = sorted((int(parts[i]), int(parts[j])))
    parts[parts == other] = one


def _near_pairs(thumbnails: NDArray[np.float32]) -> list[tuple[int, int]]:
    """The pairs of images that differ by no more than a camera's noise."""
    count, size = thumbnails.shape
    if count < 3:  # there is no third to be less alike
        return []
    means = np.maximum(thumbnails.mean(axis=1, keepdims=True), 1)
    rows = thumbnails * (means.mean() / means)
    rows -= rows.mean(axis=0)  # less cancellation
    sq_norms = np.einsum("nd,nd->n", rows, rows)
    rank = min(max(2, count // 4), count - 1)  # the image itself has rank 0
    usual = np.empty(count, np.float32)
    near: list[tuple[int, int, float]] = []
    for start in range(0, count, _AT_ONCE):
        block = slice(start, start + _AT_ONCE)
        squares = sq_norms[block, np.newaxis] + sq_norms - 2 * rows[block] @ rows.T
        distances = np.sqrt(np.maximum(squares, 0) / size)  # (block, N)
        usual[block] = np.partition(distances, rank, axis=1)[:, rank]
        for i, j in np.argwhere(distances <= _NOISE).tolist():
            if start + i < j:
                near.append((start + i, j, float(distances[i, j])))
    return [(i, j) for i, j, d in near if d <= _FAR_MORE_ALIKE * min(usual[i], usual[j])]
