"""Decode the bytes of an image file to RGB, uint8, ``(H, W, 3)``, or say why they are refused."""

from __future__ import annotations

import struct
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_ad_runtime.errors import ImageError
from edge_ad_runtime.images import jpeg, png, tiff
from edge_ad_runtime.images.header import image_size
from edge_ad_runtime.regular_file import read_regular

MAX_PIXELS = 100_000_000

RGBImage = NDArray[np.uint8]

_MOST_BYTES_PER_PIXEL = 8  # a file may have four channels of 16 bits
_MOST_OTHER_BYTES = 16_000_000  # a file may also have headers, profiles and previews
_ROWS_AT_ONCE = 64

MOST_BYTES = _MOST_BYTES_PER_PIXEL * MAX_PIXELS + _MOST_OTHER_BYTES
"""A file with more is not read."""


def read_image(path: Path | str, *, max_pixels: int = MAX_PIXELS) -> RGBImage:
    """Read one image file.

    Args:
        path: a PNG, JPEG, BMP, TIFF or WebP. The content decides which, not the name.
        max_pixels: a larger image is refused before it is decoded (a 400 kB PNG can hold 1.2 GB).

    Returns:
        ``(H, W, 3)`` uint8, RGB.

    Raises:
        ImageError: the file is missing, no plain file, empty, truncated, damaged, not an image or
            too large, or its pixels are of a kind that is not read.
    """
    path = Path(path)
    most_bytes = _MOST_BYTES_PER_PIXEL * max_pixels + _MOST_OTHER_BYTES
    try:
        data = read_regular(path, most_bytes=most_bytes)
    except OSError as exc:
        raise ImageError(f"cannot be read: {exc.strerror}", path=path) from exc
    return decode_image(data, path=path, max_pixels=max_pixels)


def decode_image(
    data: bytes, *, path: Path | None = None, max_pixels: int = MAX_PIXELS
) -> RGBImage:
    """Decode the bytes of one image file, where ``path`` is only for messages. See `read_image`."""
    if not data:
        raise ImageError("the file is empty (0 bytes)", path=path)
    try:
        height, width = image_size(data)
        if height * width > max_pixels:
            raise ValueError(
                f"{height} x {width} = {height * width:,} pixels, more than the {max_pixels:,} "
                "allowed; crop or shrink it first"
            )
        image = _decode(data)
    except (struct.error, IndexError):
        raise ImageError("the file ends inside its header; copy it again", path=path) from None
    except cv2.error as exc:
        raise ImageError(f"cannot be decoded: {exc.err}", path=path) from exc
    except MemoryError:
        raise ImageError(
            f"{height} x {width} pixels: the memory does not suffice", path=path
        ) from None
    except ValueError as exc:
        raise ImageError(str(exc), path=path) from exc
    if sorted(image.shape[:2]) != sorted((height, width)):
        found = f"{image.shape[0]} x {image.shape[1]}"
        raise ImageError(
            f"the header says {height} x {width} pixels, it holds {found}; damaged", path=path
        )
    return image


def _decode(data: bytes) -> RGBImage:
    if data.startswith(jpeg.MAGIC):
        pixels = jpeg.decode(data)
        if pixels is not None:
            return pixels
    if data.startswith(png.MAGIC):
        png.check_chunks(data)
    inverted = False
    if data.startswith(tiff.MAGICS):
        data, inverted = tiff.prepared(data)
    # IMREAD_COLOR_RGB leaves 16-bit TIFFs in BGR (OpenCV 5.0)
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH)
    if image is None:
        raise ValueError("cannot be decoded; the file is truncated or damaged")
    if image.dtype == np.uint16:
        image = _to_8_bits(np.asarray(image, np.uint16))
        if inverted:
            np.subtract(255, image, out=image)
    if image.dtype != np.uint8:
        raise ValueError(f"holds {image.dtype} pixels; save it with 8 or 16 bits")
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)


def _to_8_bits(image: NDArray[np.uint16]) -> RGBImage:
    """Compute ``round(value / 257)`` for some rows at a time, since 32-bit copies take memory."""
    rounded = np.empty(image.shape, np.uint8)
    for start in range(0, len(image), _ROWS_AT_ONCE):
        rows = slice(start, start + _ROWS_AT_ONCE)
        rounded[rows] = (image[rows].astype(np.uint32) + 128) // 257
    return rounded
