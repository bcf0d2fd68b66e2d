"""How many pixels a file will decode to, from its header alone."""

from __future__ import annotations

import struct

from edge_ad_runtime.images import jpeg, png, tiff

_BMP_UNCOMPRESSED = (0, 3)  # 3 has masks for the channels


def image_size(data: bytes) -> tuple[int, int]:
    """The height and width of the first page, before any rotation.

    Raises:
        ValueError: it is not an image of a known format, or one of a kind that is not read.
        struct.error, IndexError: the file ends inside its header.
    """
    if data.startswith(png.MAGIC):
        height, width = png.size(data)
    elif data.startswith(jpeg.MAGIC):
        height, width = jpeg.size(data)
    elif data.startswith(b"BM"):
        height, width = _bmp_size(data)
    elif data.startswith(tiff.MAGICS):
        height, width = tiff.size(data)
    elif data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        height, width = _webp_size(data)
    else:
        raise ValueError("not a PNG, JPEG, BMP, TIFF or WebP image")
    if width <= 0 or height <= 0:
        raise ValueError(f"the header says {height} x {width} pixels")
    return height, width


def _bmp_size(data: bytes) -> tuple[int, int]:
    (header_bytes,) = struct.unpack_from("<I", data, 14)
    if header_bytes == 12:  # OS/2
        width, height = struct.unpack_from("<HH", data, 18)
        return height, width
    width, height, _, _, compression = struct.unpack_from("<iiHHI", data, 18)
    if compression not in _BMP_UNCOMPRESSED:
        raise ValueError("a compressed BMP, in which missing pixels pass unseen; save it as PNG")
    return abs(height), width  # a negative height means that the rows go from the top


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
