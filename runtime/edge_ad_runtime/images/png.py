"""PNG (ISO 15948). The decoder checks a chunk's checksum, which does not cover its length."""

from __future__ import annotations

import struct

MAGIC = b"\x89PNG\r\n\x1a\n"


def size(data: bytes) -> tuple[int, int]:
    """The height and width of the image.

    Raises:
        ValueError: there is no header where it should be.
        struct.error: the data end before the header does.
    """
    _, kind, width, height = struct.unpack_from(">I4sII", data, len(MAGIC))
    if kind != b"IHDR":
        raise ValueError("a PNG whose first chunk is no header; the file is damaged")
    return height, width


def check_chunks(data: bytes) -> None:
    """Check that each chunk ends inside the file.

    For a chunk that claims to be 4 GB long, OpenCV would fill a buffer of 4 GB.

    Raises:
        ValueError: a chunk does not end inside the file, or the last one is missing.
    """
    at, kind = len(MAGIC), b""
    while kind != b"IEND":
        if at + 12 > len(data):
            raise ValueError("a PNG without its last chunk; the file is truncated")
        length, kind = struct.unpack_from(">I4s", data, at)
        at += 12 + length
        if at > len(data):
            raise ValueError(f"a PNG with a chunk of {length:,} bytes, which are not there")
