"""A labelled image: what it shows, and where the part in it is defective."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ad_runtime.errors import ImageError
from edge_ad_runtime.images import read_image

Box = tuple[float, float, float, float]
"""Top, left, height and width in pixels of the image as it is read."""


@dataclass(frozen=True, kw_only=True)
class TestImage:
    """One image to evaluate on.

    Attributes:
        path: the image.
        kind: ``good``, or a kind of defect.
        mask: a file that is nonzero where the part is defective. None for good images, and where
            there is no mask.
        mask_frame: the image's frame in a .npy mask ``(T, H, W)``.
        boxes: boxes around the defects, which stand for a mask where there is none.
    """

    __test__ = False  # not a test case, whatever pytest thinks of the name

    path: Path
    kind: str
    mask: Path | None = None
    mask_frame: int = 0
    boxes: tuple[Box, ...] = ()

    @property
    def is_defective(self) -> bool:
        """Whether the label says defective."""
        return self.kind != "good"

    @property
    def is_marked(self) -> bool:
        """Whether it is known where the defect is."""
        return self.mask is not None or bool(self.boxes)


def read_mask(image: TestImage, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """The ``(H, W)`` boolean mask of an image of ``shape`` whose defect is marked.

    Raises:
        ImageError: the mask cannot be read, or it is of another size, or a box is not in the image.
    """
    assert image.is_marked, "callers ask only for masks that are there"
    if image.mask is None:
        return _filled(image, shape)
    if image.mask.suffix == ".npy":
        mask = _load(image.mask)[image.mask_frame] > 0
    else:
        mask = read_image(image.mask).max(axis=2) > 0
    if mask.shape != shape[:2]:
        found, expected = mask.shape, tuple(shape[:2])
        raise ImageError(f"the mask is {found}, its image {expected}", path=image.mask)
    return np.asarray(mask)


def _filled(image: TestImage, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    mask = np.zeros(shape[:2], bool)
    for top, left, height, width in image.boxes:
        rows = slice(max(0, round(top)), max(0, round(top + height)))
        cols = slice(max(0, round(left)), max(0, round(left + width)))
        if mask[rows, cols].size == 0:
            raise ImageError(
                f"the box at row {top:g}, column {left:g}, {height:g} high and {width:g} wide, is "
                f"not in the image, which is {shape[0]} x {shape[1]}",
                path=image.path,
            )
        mask[rows, cols] = True
    return mask


def _load(file: Path) -> NDArray[Any]:
    try:
        return np.asarray(np.load(file, mmap_mode="r", allow_pickle=False))
    except (OSError, ValueError) as exc:
        raise ImageError(f"not a readable .npy file: {exc}", path=file) from exc
