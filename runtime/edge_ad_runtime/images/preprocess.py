"""A camera image of any size becomes the fixed-size uint8 tensor that the network takes.

There is no other preprocessing, because fitting, the reference and the device all call this.
(Normalisation by mean and standard deviation is inside the exported graph.)
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_ad_runtime.errors import ConfigError, ImageError
from edge_ad_runtime.images import RGBImage

_LONGEST_SIDE_PX = 16_384


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """How an image is brought to the network's input size.

    Shrinking averages areas (OpenCV ``INTER_AREA``), enlarging is bilinear.

    Attributes:
        size: the ``(height, width)`` of the network's input, in pixels.
        resize_px: None stretches the whole image to ``size``, so that every pixel is inspected.
            With a number the image is scaled to more than ``size``, which is then cut from the
            centre, as the PatchCore paper does (256, then 224). What lies outside the cut is not
            inspected.
        keep_aspect: where ``resize_px`` is a number, True scales the shorter side to it and keeps
            the image's proportions. False stretches the image to the proportions of ``size``, so
            that as much is cut from every side.
    """

    size: tuple[int, int]
    resize_px: int | None = None
    keep_aspect: bool = False

    def __post_init__(self) -> None:
        if not all(32 <= side <= 4096 for side in self.size):
            raise ConfigError(f"size is {self.size}; each side must be 32 to 4096 pixels")
        least = max(self.size) if self.keep_aspect else min(self.size)
        if self.resize_px is not None and not least <= self.resize_px <= 8192:
            raise ConfigError(
                f"resize_px is {self.resize_px}; it must be from {least} to 8192, or nothing of "
                f"size {self.size} could be cut from it"
            )

    def apply(self, image: RGBImage) -> RGBImage:
        """Resize the image, and cut it where the settings ask for that.

        Args:
            image: ``(H, W, 3)`` uint8, RGB.

        Returns:
            ``(*size, 3)`` uint8, RGB, C-contiguous.

        Raises:
            ImageError: it is not such an array, or is so narrow that scaling it would exhaust
                memory.
        """
        _check(image)
        (height, width), (top, left) = self.scaled_size(image.shape[:2])
        scaled = _resize(image, height, width)
        rows, cols = self.size
        return np.ascontiguousarray(scaled[top : top + rows, left : left + cols])

    def apply_to_mask(self, mask: np.ndarray) -> np.ndarray:
        """Bring a boolean ``(H, W)`` mask to ``size`` by the same geometry, by nearest pixel."""
        (height, width), (top, left) = self.scaled_size(mask.shape[:2])
        scaled = cv2.resize(
            mask.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST_EXACT
        )
        rows, cols = self.size
        return np.asarray(scaled[top : top + rows, left : left + cols] > 0)

    def back_on(
        self, heat: NDArray[np.float32], original: tuple[int, ...]
    ) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        """A map of the network's input, laid back on the image that it is of.

        Args:
            heat: ``size`` float32.
            original: ``(H, W)`` of the image before preprocessing.

        Returns:
            The map ``(H, W)`` float32, 0 where nothing was inspected, and the mask ``(H, W)``
            uint8, 1 where something was.
        """
        (height, width), (top, left) = self.scaled_size(original)
        rows, cols = self.size
        canvas = np.zeros((height, width), np.float32)
        mask = np.zeros((height, width), np.uint8)
        canvas[top : top + rows, left : left + cols] = heat
        mask[top : top + rows, left : left + cols] = 1
        size = (original[1], original[0])
        return (
            np.asarray(cv2.resize(canvas, size, interpolation=cv2.INTER_LINEAR)),
            np.asarray(cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST), np.uint8),
        )

    def placement(self, original: tuple[int, ...]) -> Placement:
        """Where the network's input is on an ``(H, W)`` image."""
        (height, width), (top, left) = self.scaled_size(original)
        return Placement(
            original=(original[0], original[1]),
            top=top,
            left=left,
            row_scale=original[0] / height,
            col_scale=original[1] / width,
        )

    def scaled_size(self, original: tuple[int, ...]) -> tuple[tuple[int, int], tuple[int, int]]:
        """The size after scaling, and the top-left corner of the cut, for an ``(H, W)`` original.

        >>> Preprocessing(size=(224, 224), resize_px=256).scaled_size((512, 1024))
        ((256, 256), (16, 16))
        >>> keep = Preprocessing(size=(224, 224), resize_px=256, keep_aspect=True)
        >>> keep.scaled_size((512, 1024))
        ((256, 512), (16, 144))
        """
        rows, cols = self.size
        if self.resize_px is None:
            return (rows, cols), (0, 0)
        proportions = original if self.keep_aspect else self.size
        scale = self.resize_px / min(proportions)
        height, width = (round(side * scale) for side in proportions)
        if max(height, width) > _LONGEST_SIDE_PX:
            raise ImageError(
                f"{original[0]} x {original[1]} pixels scaled to a shorter side of "
                f"{self.resize_px} would be {height} x {width}; the image is too narrow"
            )
        return (height, width), ((height - rows) // 2, (width - cols) // 2)


@dataclass(frozen=True, kw_only=True)
class Placement:
    """Where a network's input is on the image that it was cut from.

    Attributes:
        original: ``(H, W)`` of the image.
        top: the rows of the scaled image above the cut.
        left: its columns before the cut.
        row_scale: how many rows of the image one of the scaled image is.
        col_scale: the same of columns.
    """

    original: tuple[int, int]
    top: int
    left: int
    row_scale: float
    col_scale: float

    def box(self, top: int, left: int, height: int, width: int) -> tuple[int, int, int, int]:
        """A box of the input on the image, as ``(top, left, height, width)``, rounded outwards.

        >>> halved = Preprocessing(size=(32, 40)).placement((64, 80))
        >>> halved.box(3, 5, 2, 1)
        (6, 10, 4, 2)
        """
        first_row, end_row = self._span(top + self.top, height, self.row_scale, self.original[0])
        first_col, end_col = self._span(left + self.left, width, self.col_scale, self.original[1])
        return first_row, first_col, end_row - first_row, end_col - first_col

    def pixel(self, row: int, col: int) -> tuple[int, int]:
        """The pixel of the image in the middle of one of the input."""
        at = ((row + self.top + 0.5) * self.row_scale, (col + self.left + 0.5) * self.col_scale)
        last_row, last_col = (side - 1 for side in self.original)
        return min(int(at[0]), last_row), min(int(at[1]), last_col)

    @staticmethod
    def _span(first: int, length: int, scale: float, side: int) -> tuple[int, int]:
        # 1e-6: rounding must not add a pixel
        start = min(math.floor(first * scale + 1e-6), side - 1)
        return start, max(start + 1, min(math.ceil((first + length) * scale - 1e-6), side))


def _resize(image: RGBImage, height: int, width: int) -> RGBImage:
    if image.shape[:2] == (height, width):
        return image
    shrinks = height <= image.shape[0] and width <= image.shape[1]
    scaled = cv2.resize(
        image, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    )
    return scaled.astype(np.uint8, copy=False)


def _check(image: RGBImage) -> None:
    if not isinstance(image, np.ndarray):
        raise ImageError(f"expected an (H, W, 3) uint8 array or a path, got {type(image).__name__}")
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or 0 in image.shape:
        raise ImageError(
            f"expected an (H, W, 3) uint8 RGB array, got {image.dtype} of shape {image.shape}"
        )
