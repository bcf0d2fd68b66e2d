"""Sound files of one picture in every format that is read, some as OpenCV never writes them."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.robustness.mutations.pngs import Chunk, header, joined
from edge_ad_runtime.images import RGBImage

# Adam7: first column, first row, and the steps to the next ones
_PASSES = (
    (0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)
)  # fmt: skip
_IDAT_BYTES = 8192
_ROWS_IN_A_STRIP = 32
_LIES_ON_ITS_SIDE = 6  # EXIF's orientation


def encoded(image: RGBImage, name: str) -> bytes:
    """The picture in a format of `FORMATS`; some of them keep grey or few colours only."""
    return FORMATS[name](image)


def _by_opencv(suffix: str, *options: int) -> Callable[[RGBImage], bytes]:
    def encode(image: RGBImage) -> bytes:
        ok, data = cv2.imencode(suffix, image[..., ::-1], options)
        assert ok, suffix
        return data.tobytes()

    return encode


def _grey(image: RGBImage) -> RGBImage:
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.uint8)


def _grey_by_opencv(suffix: str, *options: int) -> Callable[[RGBImage], bytes]:
    def encode(image: RGBImage) -> bytes:
        return bytes(cv2.imencode(suffix, _grey(image), options)[1].tobytes())

    return encode


def _16_bits_by_opencv(suffix: str, *options: int) -> Callable[[RGBImage], bytes]:
    def encode(image: RGBImage) -> bytes:
        wide = image[..., ::-1].astype(np.uint16) * 257
        return bytes(cv2.imencode(suffix, wide, options)[1].tobytes())

    return encode


def _png(pieces: bytes, first: Chunk, *others: Chunk) -> bytes:
    packed = zlib.compress(pieces)
    rows = [packed[i : i + _IDAT_BYTES] for i in range(0, len(packed), _IDAT_BYTES)]
    return joined([first, *others, *(Chunk(b"IDAT", row) for row in rows), Chunk(b"IEND", b"")])


def _rows(image: NDArray[np.uint8]) -> bytes:
    """Rows as PNG has them, each after the number of its filter, which is none."""
    flat = image.reshape(len(image), -1)
    return np.pad(flat, ((0, 0), (1, 0))).tobytes()


def _palette_png(image: RGBImage) -> bytes:
    """256 greys in a table that is not in order."""
    order = np.random.default_rng(0).permutation(256).astype(np.uint8)
    table = np.repeat(np.argsort(order).astype(np.uint8)[:, np.newaxis], 3, axis=1)
    first = header(image.shape[1], image.shape[0], 8, 3, 0, 0, 0)
    return _png(_rows(order[_grey(image)]), first, Chunk(b"PLTE", table.tobytes()))


def _interlaced_png(image: RGBImage) -> bytes:
    parts = [image[y::dy, x::dx] for x, y, dx, dy in _PASSES]
    first = header(image.shape[1], image.shape[0], 8, 2, 0, 0, 1)
    return _png(b"".join(_rows(part) for part in parts if part.size), first)


def _turned_png(image: RGBImage) -> bytes:
    """With EXIF that says that it lies on its side: what is decoded is turned."""
    entry = struct.pack(">HHIHH", 0x0112, 3, 1, _LIES_ON_ITS_SIDE, 0)
    exif = b"MM\0*" + struct.pack(">IH", 8, 1) + entry + bytes(4)
    lying = np.ascontiguousarray(image.transpose(1, 0, 2)[::-1])
    first = header(lying.shape[1], lying.shape[0], 8, 2, 0, 0, 0)
    return _png(_rows(lying), first, Chunk(b"eXIf", exif))


def _planes_tiff(image: RGBImage) -> bytes:
    """Each channel by itself, in strips."""
    height, width, channels = image.shape
    strips = [
        image[row : row + _ROWS_IN_A_STRIP, :, channel].tobytes()
        for channel in range(channels)
        for row in range(0, height, _ROWS_IN_A_STRIP)
    ]
    sizes = [len(strip) for strip in strips]
    offsets = [8 + sum(sizes[:i]) for i in range(len(sizes))]
    tags: dict[int, list[int]] = {
        256: [width], 257: [height], 258: [8] * channels, 259: [1], 262: [2], 273: offsets,
        277: [channels], 278: [_ROWS_IN_A_STRIP], 279: sizes, 284: [2],
    }  # fmt: skip
    entries, beside, at = b"", b"", 8 + sum(sizes)
    for tag, values in tags.items():
        kind, form = (4, "I") if tag in (256, 257, 273, 278, 279) else (3, "H")
        content = struct.pack(f"<{len(values)}{form}", *values)
        if len(content) > 4:
            content, beside = struct.pack("<I", at + len(beside)), beside + content
        entries += struct.pack("<HHI", tag, kind, len(values)) + content.ljust(4, b"\0")
    directory = struct.pack("<H", len(tags)) + entries + bytes(4)
    return b"II*\0" + struct.pack("<I", at + len(beside)) + b"".join(strips) + beside + directory


FORMATS: dict[str, Callable[[RGBImage], bytes]] = {
    "PNG": _by_opencv(".png"),
    "PNG 16 bit": _16_bits_by_opencv(".png"),
    "PNG grey": _grey_by_opencv(".png"),
    "PNG palette": _palette_png,
    "PNG interlaced": _interlaced_png,
    "PNG turned": _turned_png,
    "TIFF deflate": _by_opencv(".tiff", cv2.IMWRITE_TIFF_COMPRESSION, 8),
    "TIFF LZW": _by_opencv(".tiff", cv2.IMWRITE_TIFF_COMPRESSION, 5),
    "TIFF": _by_opencv(".tiff", cv2.IMWRITE_TIFF_COMPRESSION, 1),
    "TIFF 16 bit": _16_bits_by_opencv(".tiff", cv2.IMWRITE_TIFF_COMPRESSION, 1),
    "TIFF planes": _planes_tiff,
    "BMP": _by_opencv(".bmp"),
    "JPEG 4:2:0": _by_opencv(".jpg", cv2.IMWRITE_JPEG_SAMPLING_FACTOR, 0x221111),
    "JPEG 4:4:4": _by_opencv(".jpg", cv2.IMWRITE_JPEG_SAMPLING_FACTOR, 0x111111),
    "JPEG restarts": _by_opencv(".jpg", cv2.IMWRITE_JPEG_RST_INTERVAL, 20),
    "JPEG optimised": _by_opencv(".jpg", cv2.IMWRITE_JPEG_OPTIMIZE, 1),
    "JPEG grey": _grey_by_opencv(".jpg"),
    "WebP": _by_opencv(".webp", cv2.IMWRITE_WEBP_QUALITY, 90),
    "WebP lossless": _by_opencv(".webp", cv2.IMWRITE_WEBP_QUALITY, 101),
}
CHECKED = tuple(name for name in FORMATS if name.startswith("PNG"))  # checksums over all
