"""An image file becomes RGB, uint8, ``(H, W, 3)``, in one way, or an ImageError.

The one way, the same when fitting and on the device:

- EXIF orientation is applied;
- grey is repeated into three channels, a palette is looked up, CMYK is converted;
- alpha is dropped (hidden colours under transparent pixels are seen);
- 16 bits become 8 by ``round(value / 257)``, so 65535 -> 255: a 12-bit camera that writes
  0-4095 into 16-bit files gives dark images, when fitting and on the device alike;
- of several pages the first is read; floating-point pixels are refused.

OpenCV 5 refuses truncated files; the pixel count is read from the header and limited before
any pixel is decoded.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_ad_runtime.errors import ConfigError, ImageError

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"})
MAX_PIXELS = 100_000_000

RGBImage = NDArray[np.uint8]


def read_image(path: Path | str, *, max_pixels: int = MAX_PIXELS) -> RGBImage:
    """Read one image file.

    Args:
        path: PNG, JPEG, BMP, TIFF or WebP; the content decides, not the name.
        max_pixels: refuse a larger image before decoding it (a 400 kB PNG can hold 1.2 GB).

    Returns:
        ``(H, W, 3)`` uint8, RGB.

    Raises:
        ImageError: missing, empty, truncated, not an image, too large, or floating point.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
    except OSError as exc:
        raise ImageError(f"cannot be read: {exc.strerror}", path=path) from exc
    return decode_image(data, path=path, max_pixels=max_pixels)


def decode_image(
    data: bytes, *, path: Path | None = None, max_pixels: int = MAX_PIXELS
) -> RGBImage:
    """Decode the bytes of one image file; ``path`` is only for messages. See `read_image`."""
    if not data:
        raise ImageError("the file is empty (0 bytes)", path=path)
    try:
        height, width = _header_size(data)
    except (struct.error, IndexError):
        raise ImageError("the file ends inside its header; copy it again", path=path) from None
    except ValueError as exc:
        raise ImageError(str(exc), path=path) from None
    if height * width > max_pixels:
        raise ImageError(
            f"{height} x {width} = {height * width:,} pixels, more than the {max_pixels:,} "
            "allowed; crop or shrink it first",
            path=path,
        )
    try:
        bgr = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH)
    except cv2.error as exc:
        raise ImageError(f"cannot be decoded: {exc.err}", path=path) from exc
    if bgr is None:
        raise ImageError("cannot be decoded; the file is truncated or damaged", path=path)
    if bgr.dtype == np.uint16:
        bgr = ((bgr.astype(np.uint32) + 128) // 257).astype(np.uint8)
    if bgr.dtype != np.uint8:
        raise ImageError(f"holds {bgr.dtype} pixels; save it with 8 or 16 bits", path=path)
    return cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB).astype(np.uint8, copy=False)


def expand_folders(paths: Iterable[Path]) -> Iterator[Path]:
    """Files as given; a folder as the images in it, sorted.

    Raises:
        ConfigError: a folder without images.
    """
    for path in paths:
        if not path.is_dir():
            yield path
            continue
        found = sorted(p for p in path.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES)
        if not found:
            kinds = ", ".join(sorted(suffix[1:] for suffix in IMAGE_SUFFIXES))
            raise ConfigError(f"{path}: no images in this folder ({kinds})")
        yield from found


def write_png(path: Path, image: RGBImage) -> None:
    """Write an RGB image as PNG, making its folder."""
    ok, data = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    if not ok:
        raise ImageError(f"OpenCV cannot encode an image of shape {image.shape}", path=path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data.tobytes())
    except OSError as exc:
        raise ImageError(f"cannot be written: {exc.strerror}", path=path) from exc


def _header_size(data: bytes) -> tuple[int, int]:
    """Height and width from the header alone, of the first page, before any rotation."""
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        width, height = struct.unpack_from(">II", data, 16)
    elif data.startswith(b"\xff\xd8\xff"):
        height, width = _jpeg_size(data)
    elif data.startswith(b"BM"):
        width, height = struct.unpack_from("<ii", data, 18)
    elif data[:4] in (b"II*\0", b"MM\0*"):
        height, width = _tiff_size(data)
    elif data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        height, width = _webp_size(data)
    else:
        raise ValueError("not a PNG, JPEG, BMP, TIFF or WebP image")
    if width == 0 or height == 0:
        raise ValueError(f"the header says {height} x {width} pixels")
    return abs(height), abs(width)


def _jpeg_size(data: bytes) -> tuple[int, int]:
    frame_headers = set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
    at = 2
    while data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:  # fill byte
            at += 1
        elif marker in frame_headers:
            height, width = struct.unpack_from(">HH", data, at + 5)
            return height, width
        else:
            at += 2 + struct.unpack_from(">H", data, at + 2)[0]
    raise ValueError("a JPEG without a frame header; the file is damaged")


def _tiff_size(data: bytes) -> tuple[int, int]:
    order = "<" if data.startswith(b"II") else ">"
    sizes = {tag: value for tag, value in _tiff_tags(data, order) if tag in (256, 257)}
    if len(sizes) != 2:
        raise ValueError("a TIFF without width and height; the file is damaged")
    return sizes[257], sizes[256]


def _tiff_tags(data: bytes, order: str) -> Iterator[tuple[int, int]]:
    (at,) = struct.unpack_from(order + "I", data, 4)
    (count,) = struct.unpack_from(order + "H", data, at)
    for entry in range(at + 2, at + 2 + 12 * count, 12):
        tag, kind = struct.unpack_from(order + "HH", data, entry)
        (value,) = struct.unpack_from(order + ("H" if kind == 3 else "I"), data, entry + 8)
        yield tag, value


def _webp_size(data: bytes) -> tuple[int, int]:
    kind = data[12:16]
    if kind == b"VP8X":
        width, height = (int.from_bytes(data[i : i + 3], "little") + 1 for i in (24, 27))
    elif kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    else:
        width, height = (side & 0x3FFF for side in struct.unpack_from("<HH", data, 26))
    return height, width
