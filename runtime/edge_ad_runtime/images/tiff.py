"""TIFF 6.0: which files are read, and what must be done for their own pixels to come out.

OpenCV decodes more kinds of TIFF than it decodes right. It fills one of three 16-bit planes and
leaves the other two as they were in memory. 16-bit "white is zero" comes out inverted, and pixels
that alpha hides come out black. It also goes on where the checksum of a deflated strip is wrong, so
these checksums are checked here.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

MAGICS = (b"II*\0", b"MM\0*")

_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC = 256, 257, 258, 259, 262
_CHANNELS, _PLANES, _ALPHA, _FORMAT = 277, 284, 338, 339
_READ = {_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC, _CHANNELS, _PLANES, _ALPHA, _FORMAT}
_DEFAULTS = {_BITS: 1, _COMPRESSION: 1, _CHANNELS: 1, _PLANES: 1, _FORMAT: 1}

_STRIPS, _STRIP_BYTES, _ROWS_PER_STRIP = 273, 279, 278
_TILES, _TILE_BYTES, _TILE_WIDTH, _TILE_HEIGHT = 324, 325, 322, 323
_READ |= {_ROWS_PER_STRIP, _TILE_WIDTH, _TILE_HEIGHT}

_TYPES = {1: "B", 3: "H", 4: "I"}
_MOST_VALUES = 16  # a tag that is read has no more
_MOST_PIECES = 1_000_000
_COMPRESSIONS = {1, 5, 8, 32773, 32946}  # none, LZW, deflate, PackBits, and deflate's older number
_DEFLATED = {8, 32946}
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB = 0, 1, 2
_YCBCR = 6
_ALPHA_UNASSOCIATED = 2
_FORMATS = {2: "int", 3: "float"}


class _Entry(NamedTuple):
    values: tuple[int, ...]
    at: int  # where the first value is in the file, in bytes


def size(data: bytes) -> tuple[int, int]:
    """The height and width of the first page.

    Raises:
        ValueError: they are not there, or not as TIFF 6.0 wants them.
        struct.error, IndexError: the data end before they do.
    """
    tags = _tags(data)
    if _WIDTH not in tags or _HEIGHT not in tags:
        raise ValueError("a TIFF without width and height; the file is damaged")
    (height, *more), (width, *more_) = tags[_HEIGHT].values, tags[_WIDTH].values
    if more or more_:
        raise ValueError("a TIFF with several widths or heights; the file is damaged")
    return height, width


def prepared(data: bytes) -> tuple[bytes, bool]:
    """Change the file so that OpenCV decodes it right, and say if 16-bit values come out inverted.

    Raises:
        ValueError: its pixels are of a kind that is not decoded right.
    """
    tags = _tags(data)

    def values(tag: int) -> tuple[int, ...]:
        return tags[tag].values if tag in tags else (_DEFAULTS[tag],)

    bits, sample_format = values(_BITS), values(_FORMAT)
    if set(sample_format) != {1}:
        kind = _FORMATS.get(sample_format[0], "unknown ")
        raise ValueError(f"holds {kind}{bits[0]} pixels; save it with 8 or 16 bits")
    if len(set(bits)) != 1 or bits[0] not in (1, 2, 4, 8, 16):
        raise ValueError(f"a TIFF of {bits[0]} bits per channel; save it with 8 or 16 bits")
    if values(_COMPRESSION)[0] not in _COMPRESSIONS:
        raise ValueError(
            f"a TIFF of compression {values(_COMPRESSION)[0]}, in which losses may pass unseen; "
            "save it with LZW, deflate or none"
        )
    photometric = tags[_PHOTOMETRIC].values[0] if _PHOTOMETRIC in tags else _BLACK_IS_ZERO
    if values(_COMPRESSION)[0] in _DEFLATED:
        if photometric == _YCBCR:
            raise ValueError("a deflated TIFF of YCbCr pixels; save it as grey or RGB")
        _check_deflated(data, tags)
    if bits[0] == 16:
        if photometric not in (_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB):
            raise ValueError(
                f"a 16-bit TIFF of photometric interpretation {photometric}; save it as grey or RGB"
            )
        if values(_PLANES)[0] != 1 and values(_CHANNELS)[0] > 1:
            raise ValueError("a 16-bit TIFF with separate planes; save its channels interleaved")
        return data, photometric == _WHITE_IS_ZERO
    return _with_alpha_unspecified(data, tags), False


def _with_alpha_unspecified(data: bytes, tags: dict[int, _Entry]) -> bytes:
    """The file without the word that says to multiply colours by alpha when they are shown."""
    alpha = tags.get(_ALPHA)
    if alpha is None or _ALPHA_UNASSOCIATED not in alpha.values:
        return data
    if len(alpha.values) > 1:
        raise ValueError(f"a TIFF with {len(alpha.values)} extra channels; save it as RGB")
    changed = bytearray(data)
    changed[alpha.at : alpha.at + 2] = bytes(2)
    return bytes(changed)


def _check_deflated(data: bytes, tags: dict[int, _Entry]) -> None:
    """Inflate each strip or tile, and check its checksum and that its length is the header's.

    Raises:
        ValueError: one is wrong, or there are not as many as there should be.
    """
    is_tiled = _TILE_WIDTH in tags and _TILE_HEIGHT in tags
    offsets = _numbers(data, _TILES if is_tiled else _STRIPS)
    sizes = _numbers(data, _TILE_BYTES if is_tiled else _STRIP_BYTES)
    in_plane, piece_bytes, last_bytes = _tiles(tags) if is_tiled else _strips(tags)
    expected = in_plane * _planes(tags)
    if not len(offsets) == len(sizes) == expected <= _MOST_PIECES:
        raise ValueError(
            f"a TIFF of {len(offsets):,} pieces, its size makes {expected:,}, and "
            f"{_MOST_PIECES:,} are allowed; the file is damaged"
        )
    content = memoryview(data)
    for i, (at, size) in enumerate(zip(offsets.tolist(), sizes.tolist(), strict=True)):
        is_last = (i + 1) % in_plane == 0
        if not _is_whole(content[at : at + size], last_bytes if is_last else piece_bytes):
            raise ValueError(f"a TIFF whose piece {i} is not what its checksum says; damaged")


def _is_whole(piece: memoryview, size_bytes: int) -> bool:
    """Whether the piece inflates to so many bytes, and has their Adler-32."""
    inflate = zlib.decompressobj()
    try:
        return len(inflate.decompress(piece, size_bytes + 1)) == size_bytes and inflate.eof
    except zlib.error:
        return False


def _strips(tags: dict[int, _Entry]) -> tuple[int, int, int]:
    """The number of strips in a plane, and the inflated bytes of a strip and of the last strip."""
    width, height = tags[_WIDTH].values[0], tags[_HEIGHT].values[0]
    rows = max(1, min(_first(tags, _ROWS_PER_STRIP, height), height))
    count, row_bytes = -(-height // rows), _row_bytes(tags, width)
    return count, rows * row_bytes, (height - rows * (count - 1)) * row_bytes


def _tiles(tags: dict[int, _Entry]) -> tuple[int, int, int]:
    """The same numbers for tiles, which are all of one size."""
    width, height = _tile_size(tags)
    across, down = -(-tags[_WIDTH].values[0] // width), -(-tags[_HEIGHT].values[0] // height)
    size_bytes = _row_bytes(tags, width) * height
    return across * down, size_bytes, size_bytes


def _tile_size(tags: dict[int, _Entry]) -> tuple[int, int]:
    width, height = tags[_TILE_WIDTH].values[0], tags[_TILE_HEIGHT].values[0]
    if not (16 <= width <= 65_536 and 16 <= height <= 65_536):
        raise ValueError(f"a TIFF of tiles of {height} x {width} pixels; save it in strips")
    return width, height


def _row_bytes(tags: dict[int, _Entry], width: int) -> int:
    """The bytes of a row of ``width`` pixels in one plane."""
    channels = 1 if _planes(tags) > 1 else _first(tags, _CHANNELS, 1)
    return -(-width * channels * _first(tags, _BITS, 1) // 8)


def _planes(tags: dict[int, _Entry]) -> int:
    return _first(tags, _CHANNELS, 1) if _first(tags, _PLANES, 1) == 2 else 1


def _first(tags: dict[int, _Entry], tag: int, otherwise: int) -> int:
    return tags[tag].values[0] if tag in tags else otherwise


def _numbers(data: bytes, wanted: int) -> NDArray[np.uint32]:
    """The values of a tag that may have many."""
    order = _order(data)
    for tag, kind, length, at in _entries(data):
        if tag == wanted and kind in (3, 4):
            dtype = np.dtype(f"{order}u{2 if kind == 3 else 4}")
            (elsewhere,) = struct.unpack_from(order + "I", data, at)
            at = at if length * dtype.itemsize <= 4 else elsewhere
            if at + length * dtype.itemsize > len(data):
                raise ValueError(f"a TIFF whose tag {tag} ends after the file; it is damaged")
            return np.frombuffer(data, dtype, length, at).astype(np.uint32)
    raise ValueError(f"a TIFF without tag {wanted}; the file is damaged")


def _tags(data: bytes) -> dict[int, _Entry]:
    """The tags of the first directory that are read here."""
    order = _order(data)
    found: dict[int, _Entry] = {}
    for tag, kind, length, at in _entries(data):
        if tag not in _READ:
            continue
        if tag in found:
            raise ValueError(f"a TIFF that has tag {tag} twice; the file is damaged")
        if kind not in _TYPES or not 1 <= length <= _MOST_VALUES:
            raise ValueError(f"a TIFF whose tag {tag} is of type {kind} and length {length}")
        form = f"{order}{length}{_TYPES[kind]}"
        (elsewhere,) = struct.unpack_from(order + "I", data, at)
        at = at if struct.calcsize(form) <= 4 else elsewhere
        found[tag] = _Entry(struct.unpack_from(form, data, at), at)
    return found


def _entries(data: bytes) -> Iterator[tuple[int, int, int, int]]:
    """For each entry the tag, type, number of values, and place of the value or of its offset."""
    order = _order(data)
    (at,) = struct.unpack_from(order + "I", data, 4)
    (count,) = struct.unpack_from(order + "H", data, at)
    for entry in range(at + 2, at + 2 + 12 * count, 12):
        tag, kind, length = struct.unpack_from(order + "HHI", data, entry)
        yield tag, kind, length, entry + 8


def _order(data: bytes) -> str:
    return "<" if data.startswith(b"II") else ">"
