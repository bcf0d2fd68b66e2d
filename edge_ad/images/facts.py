"""What a folder of good images looks like: sizes, brightness, and how the parts lie."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_ad_runtime.images import RGBImage, read_image

_LOOKED_AT = 32
_SIDE_PX = 128  # of the small copy that orientation is seen in
_ELONGATED = 1.5  # the long axis of a part that has a direction, in units of the short one
_CONTRAST = 25  # grey levels between a part and its background


@dataclass(frozen=True, kw_only=True)
class ImageFacts:
    """What some of the images have in common, and what not.

    Attributes:
        images: how many images there are.
        looked_at: how many of them were read.
        shapes: how often each ``(height, width)`` occurs among those.
        brightness: ``(darkest, brightest)`` of the images' mean grey levels, 0-255.
        directions: the share in 0-1 of those read whose part has a long axis.
        alignment: how alike these axes lie: 1 if all are parallel, near 0 if all directions occur.
    """

    images: int
    looked_at: int
    shapes: dict[tuple[int, int], int]
    brightness: tuple[float, float]
    directions: float
    alignment: float

    @property
    def usual_shape(self) -> tuple[int, int]:
        """The most frequent ``(height, width)``."""
        return max(self.shapes, key=lambda shape: self.shapes[shape])


def look_at(paths: Sequence[Path]) -> ImageFacts:
    """Read some of the images, evenly spaced.

    Raises:
        ImageError: one cannot be read.
    """
    at = np.unique(np.linspace(0, len(paths) - 1, min(_LOOKED_AT, len(paths))).round().astype(int))
    shapes: Counter[tuple[int, int]] = Counter()
    means, angles = [], []
    for i in at:
        image = read_image(paths[i])
        shapes[image.shape[0], image.shape[1]] += 1
        means.append(float(image.mean()))
        angles.append(long_axis(image))
    known = np.array([angle for angle in angles if angle is not None])
    # an axis at 179 degrees is near one at 1 degree, so angles are doubled
    alignment = float(abs(np.exp(2j * known).mean())) if len(known) else 1.0
    return ImageFacts(
        images=len(paths),
        looked_at=len(at),
        shapes=dict(shapes),
        brightness=(min(means), max(means)),
        directions=len(known) / len(at),
        alignment=alignment,
    )


def long_axis(image: RGBImage) -> float | None:
    """The direction of the part's long axis in radians, or None if it has none.

    The part is what differs from the image's border. A texture, or a part that fills the image,
    has no background and so no axis.
    """
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    scale = _SIDE_PX / max(grey.shape)
    small = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA).astype(float)
    border = np.concatenate([small[:3].ravel(), small[-3:].ravel(), small[:, :3].ravel(),
                             small[:, -3:].ravel()])  # fmt: skip
    background = float(np.median(border))
    if np.abs(border - background).mean() > _CONTRAST / 2:
        return None
    part: NDArray[np.bool_] = np.abs(small - background) > _CONTRAST
    if not 0.01 < part.mean() < 0.6:
        return None
    rows, cols = np.nonzero(part)
    values, vectors = np.linalg.eigh(np.cov(np.stack([cols, rows])))  # rising
    if values[1] < _ELONGATED**2 * max(values[0], 1e-9):
        return None
    return float(np.arctan2(vectors[1, 1], vectors[0, 1]))
