"""Damaged copies of good images: small and faint, where the part has structure.

Damage that anyone sees from afar ranks nothing: every setting finds it. So it is done in a window
of the image that is a tenth of its side or a little more, and half of it is taken back. It lies
where the image varies, because a part is told from its background by that.
"""

from __future__ import annotations

import cv2
import numpy as np

from edge_ad.synthetic.damage import KINDS, damage
from edge_ad_runtime.images import RGBImage

_WINDOWS = (0.1, 0.18, 0.3)  # of the shorter side: scratches, dents and so on fill half of it
_LEAST_WINDOW_PX = 16
_FAINT = 0.6
_GRID_PX = 4  # windows begin at every so many pixels


def damaged_copies(image: RGBImage, seed: int) -> list[RGBImage]:
    """One copy for each size of the window. The kinds of damage take turns by the seed.

    Args:
        image: ``(H, W, 3)`` uint8 as the camera gave it.
        seed: draws place, size and strength.
    """
    rng = np.random.default_rng(seed)
    kinds = list(KINDS)
    return [
        _damaged(image, share, kinds[(seed + i) % len(kinds)], rng)
        for i, share in enumerate(_WINDOWS)
    ]


def _damaged(image: RGBImage, share: float, kind: str, rng: np.random.Generator) -> RGBImage:
    side = max(_LEAST_WINDOW_PX, round(share * min(image.shape[:2])))
    top, left = _busy_corner(image, side, rng)
    window = (slice(top, top + side), slice(left, left + side))
    before = image[window].astype(np.float32)
    after = damage(image[window], kind, rng)[0].astype(np.float32)
    copy = image.copy()
    copy[window] = np.round(before + _FAINT * (after - before)).astype(np.uint8)
    return copy


def _busy_corner(image: RGBImage, side: int, rng: np.random.Generator) -> tuple[int, int]:
    """The top left corner of a window, drawn the likelier the more the image varies in it."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float64)
    mean, of_squares = cv2.blur(grey, (side, side)), cv2.blur(grey * grey, (side, side))
    inside = np.s_[side // 2 : len(grey) - side // 2 : _GRID_PX,
                   side // 2 : grey.shape[1] - side // 2 : _GRID_PX]  # fmt: skip
    busy = (
        np.clip(of_squares - mean * mean, 0, None)[inside] + 1e-6
    )  # a blank image is drawn on too
    at = int(rng.choice(busy.size, p=(busy / busy.sum()).ravel()))
    row, col = divmod(at, busy.shape[1])
    rows, cols = (length - side for length in grey.shape)
    return min(row * _GRID_PX, rows), min(col * _GRID_PX, cols)
