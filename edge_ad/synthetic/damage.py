"""Synthetic damage for images of good parts: scratches, dents, stains, misprints, with masks.

They give ``verify`` images with high scores, test searches on patches far from the bank, and serve
the demo. They are not a model of any line's real defects.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import cycle

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_ad_runtime.images import RGBImage

Mask = NDArray[np.bool_]


def damage(
    image: RGBImage, kind: str, rng: np.random.Generator, where: Mask | None = None
) -> tuple[RGBImage, Mask]:
    """A damaged copy and where it differs.

    Args:
        image: ``(H, W, 3)`` uint8.
        kind: a key of `KINDS`.
        rng: draws position, size and strength.
        where: ``(H, W)``, true where the damage's centre may lie. With None it may lie anywhere but
            in the margins.

    Returns:
        The image and an ``(H, W)`` boolean mask.
    """
    height, width = image.shape[:2]
    if where is None:
        where = np.zeros((height, width), bool)
        where[height // 5 : height - height // 5, width // 5 : width - width // 5] = True
    rows, cols = np.nonzero(where)
    at = int(rng.integers(len(rows)))
    return KINDS[kind](image, (int(cols[at]), int(rows[at])), min(height, width), rng)


def with_damage(images: Iterable[RGBImage], seed: int) -> Iterator[RGBImage]:
    """Each image, followed by a damaged copy. The kinds of damage take turns."""
    rng = np.random.default_rng(seed)
    for image, kind in zip(images, cycle(KINDS)):  # noqa: B905  # cycle has no end
        yield image
        yield damage(image, kind, rng)[0]


def _scratch(
    image: RGBImage, centre: tuple[int, int], side: int, rng: np.random.Generator
) -> tuple[RGBImage, Mask]:
    """A thin bright line with a dark flank, slightly bent."""
    length = side * rng.uniform(0.25, 0.45)
    angle = rng.uniform(0, np.pi)
    along = np.linspace(-0.5, 0.5, 24)
    bend = rng.uniform(-0.12, 0.12) * (0.25 - along**2) * 4
    direction, normal = (
        np.array([np.cos(angle), np.sin(angle)]),
        np.array([-np.sin(angle), np.cos(angle)]),
    )
    points = np.array(centre) + length * (along[:, None] * direction + bend[:, None] * normal)
    width = max(1, round(side / 130))
    bright = _line(image.shape, points, width)
    dark = _line(image.shape, points + normal * width * 1.2, width)
    out = image + 110 * bright[..., None] - 90 * dark[..., None]
    return _uint8(out), (bright + dark) > 0.3


def _dent(
    image: RGBImage, centre: tuple[int, int], side: int, rng: np.random.Generator
) -> tuple[RGBImage, Mask]:
    """A hollow: shading from one side of a disc to the other, and the texture pulled inwards."""
    radius = side * rng.uniform(0.06, 0.10)
    x, y, distance = _polar(image.shape, centre)
    falloff = np.exp(-((distance / radius) ** 2) * 2)
    light = rng.uniform(0, 2 * np.pi)
    slope = (x * np.cos(light) + y * np.sin(light)) / radius * falloff
    pull = (1 - 0.5 * falloff).astype(np.float32)
    warped = cv2.remap(
        image,
        (centre[0] + x * pull).astype(np.float32),
        (centre[1] + y * pull).astype(np.float32),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REFLECT,
    )
    return _uint8(warped + 230 * slope[..., None] - 40 * falloff[..., None]), falloff > 0.2


def _stain(
    image: RGBImage, centre: tuple[int, int], side: int, rng: np.random.Generator
) -> tuple[RGBImage, Mask]:
    """A translucent brownish blot with an uneven outline."""
    radius = side * rng.uniform(0.06, 0.11)
    x, y, distance = _polar(image.shape, centre)
    theta = np.arctan2(y, x)
    outline = 1 + sum(
        rng.uniform(-0.18, 0.18) * np.cos(k * theta + rng.uniform(0, 6.28)) for k in (2, 3, 5)
    )
    cover = 1 / (1 + np.exp((distance / (radius * outline) - 1) * 14))
    tint = np.array([0.55, 0.42, 0.25])
    out = image * (1 - 0.75 * cover[..., None] * (1 - tint))
    return _uint8(out), cover > 0.5


def _misprint(
    image: RGBImage, centre: tuple[int, int], side: int, rng: np.random.Generator
) -> tuple[RGBImage, Mask]:
    """A rectangle of the image turned over and put back in the wrong place."""
    height, width = image.shape[:2]
    h, w = max(4, round(side * 0.14)), max(4, round(side * 0.22))
    top, left = _corner(centre[1], h, height), _corner(centre[0], w, width)
    piece = image[top : top + h, left : left + w][::-1, ::-1]
    shift = round(side * 0.04)
    out, mask = image.copy(), np.zeros((height, width), bool)
    target = (
        slice(_corner(top + h // 2 + shift, h, height), None),
        slice(_corner(left + w // 2 + shift, w, width), None),
    )
    out[target][:h, :w] = 255 - piece // 2
    mask[target][:h, :w] = True
    return out, mask


KINDS: dict[
    str,
    Callable[[RGBImage, tuple[int, int], int, np.random.Generator], tuple[RGBImage, Mask]],
] = {"scratch": _scratch, "dent": _dent, "stain": _stain, "misprint": _misprint}


def _corner(centre: int, length: int, limit: int) -> int:
    return max(0, min(centre - length // 2, limit - length))


def _line(shape: tuple[int, ...], points: NDArray[np.float64], width: int) -> NDArray[np.float64]:
    canvas = np.zeros(shape[:2], np.uint8)
    fixed = np.round(points * 16).astype(np.int32)
    cv2.polylines(canvas, [fixed], False, 255, width, cv2.LINE_AA, shift=4)
    return canvas / 255.0


def _polar(
    shape: tuple[int, ...], centre: tuple[int, int]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float64)
    x, y = x - centre[0], y - centre[1]
    return x, y, np.hypot(x, y)


def _uint8(values: NDArray[np.floating]) -> RGBImage:
    return np.clip(np.round(values), 0, 255).astype(np.uint8)
