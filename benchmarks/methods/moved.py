"""A data set whose parts have moved: what a method says that needs them in one place."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.harness.datasets import DataSet
from edge_ad.images.labelled import TestImage, read_mask
from edge_ad_runtime.images import read_image, write_png

_MOST = 0.1  # of a side, in either direction
_MOST_DEGREES = 10


def moved(data: DataSet, folder: Path) -> DataSet:
    """Each image shifted and turned by lot, and its mask with it.

    Args:
        data: the set.
        folder: where the images are written.
    """
    rng = np.random.default_rng(0)
    good = tuple(
        _write(read_image(path), _motion(rng), folder / f"good-{i}.png")
        for i, path in enumerate(data.good)
    )
    test = tuple(_moved(image, rng, folder / f"test-{i}.png") for i, image in enumerate(data.test))
    return replace(data, good=good, test=test)


def _moved(image: TestImage, rng: np.random.Generator, path: Path) -> TestImage:
    pixels, motion = read_image(image.path), _motion(rng)
    if image.mask is None:
        return replace(image, path=_write(pixels, motion, path))
    mask = read_mask(image, pixels.shape).astype(np.uint8)[:, :, np.newaxis] * np.full(3, 255)
    name = path.with_name(f"{path.stem}_mask.png")
    return replace(
        image,
        path=_write(pixels, motion, path),
        mask=_write(mask.astype(np.uint8), motion, name, is_mask=True),
    )


def _motion(rng: np.random.Generator) -> tuple[float, float, float]:
    """Degrees, and shifts as shares of the width and the height."""
    x, y = rng.uniform(-_MOST, _MOST, 2)
    return float(rng.uniform(-_MOST_DEGREES, _MOST_DEGREES)), float(x), float(y)


def _write(
    pixels: NDArray[np.uint8],
    motion: tuple[float, float, float],
    path: Path,
    *,
    is_mask: bool = False,
) -> Path:
    degrees, x, y = motion
    height, width = pixels.shape[:2]
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1)
    matrix[:, 2] += x * width, y * height
    how = cv2.INTER_NEAREST if is_mask else cv2.INTER_LINEAR
    # what is beyond the border continues what is inside; no defect is repeated there
    border = cv2.BORDER_CONSTANT if is_mask else cv2.BORDER_REPLICATE
    there = cv2.warpAffine(pixels, matrix, (width, height), flags=how, borderMode=border)
    write_png(path, np.asarray(there, np.uint8))
    return path
