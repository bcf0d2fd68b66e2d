"""What lines, disks and memory cards do to an image file on its way."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable

from benchmarks.robustness.mutations.pngs import Chunk, joined

_SECTOR = 512
_LARGEST_HOLE = 8192
_HEADERS = 700  # bytes at either end, of which half of the damage to single bits is


def damaged(data: bytes, how: str, rng: random.Random) -> bytes:
    """The file with damage of `DAMAGES`; it differs from the sound one."""
    found = DAMAGES[how](data, rng)
    while found == data:
        found = DAMAGES[how](data, rng)
    return found


def _cut(data: bytes, rng: random.Random) -> bytes:
    return data[: rng.randrange(1, len(data))]


def _closed(data: bytes, rng: random.Random) -> bytes:
    """Cut, and ended as its format ends: a JPEG's end, a PNG's last chunk, a WebP's sizes."""
    cut = data[: rng.randrange(len(data) // 10, len(data))]
    if data.startswith(b"\x89PNG"):
        return cut + joined([Chunk(b"IEND", b"")])[8:]
    if data.startswith(b"\xff\xd8"):
        return cut + b"\xff\xd9"
    if data.startswith(b"RIFF"):
        cut = cut[: len(cut) // 2 * 2]
        sizes = struct.pack("<I", len(cut) - 8), struct.pack("<I", len(cut) - 20)
        return cut[:4] + sizes[0] + cut[8:16] + sizes[1] + cut[20:]
    return cut + data[-_SECTOR:]  # a TIFF's directory is at the end


def _length(rng: random.Random) -> int:
    return 1 << rng.randrange(4, _LARGEST_HOLE.bit_length())


def _hole(data: bytes, rng: random.Random) -> bytes:
    length = min(_length(rng), len(data) // 2)
    at = rng.randrange(len(data) - length)
    return data[:at] + data[at + length :]


def _over(data: bytes, at: int, content: bytes) -> bytes:
    return data[:at] + content[: len(data) - at] + data[at + len(content) :]


def _zeros(data: bytes, rng: random.Random) -> bytes:
    return _over(data, rng.randrange(len(data)), bytes(_length(rng)))


def _scrambled(data: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(data)) // _SECTOR * _SECTOR
    return _over(data, at, rng.randbytes(_SECTOR))


def _exchanged(data: bytes, rng: random.Random) -> bytes:
    """Two sectors in one another's place; or one of them twice."""
    one, other = (rng.randrange(len(data) // _SECTOR) * _SECTOR for _ in range(2))
    first, second = data[one : one + _SECTOR], data[other : other + _SECTOR]
    found = _over(data, one, second)
    return _over(found, other, first) if rng.random() < 0.5 else found


def _flipped(bits: int) -> Callable[[bytes, random.Random], bytes]:
    def flip(data: bytes, rng: random.Random) -> bytes:
        found = bytearray(data)
        for _ in range(bits):
            near = min(_HEADERS, len(data))
            at = rng.choice(
                [rng.randrange(len(data)), rng.randrange(near), len(data) - 1 - rng.randrange(near)]
            )
            found[at if rng.random() < 0.5 else rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        return bytes(found)

    return flip


DAMAGES: dict[str, Callable[[bytes, random.Random], bytes]] = {
    "cut": _cut,
    "cut and closed": _closed,
    "hole": _hole,
    "zeros": _zeros,
    "scrambled sector": _scrambled,
    "sectors exchanged": _exchanged,
    "1 bit": _flipped(1),
    "20 bits": _flipped(20),
}
