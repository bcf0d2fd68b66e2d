"""TIFF 6.0: which files are read, and what must be done for their own pixels to come out.

OpenCV decodes more than it decodes right: of 16-bit planes it fills one and leaves two as they
were in memory; 16-bit "white is zero" comes out inverted; what alpha hides comes out black.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

MAGICS = (b"II*\0", b"MM\0*")

_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC = 256, 257, 258, 259, 262
_CHANNELS, _PLANES, _ALPHA, _FORMAT = 277, 284, 338, 339
_READ = {_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC, _CHANNELS, _PLANES, _ALPHA, _FORMAT}
_DEFAULTS = {_BITS: 1, _COMPRESSION: 1, _CHANNELS: 1, _PLANES: 1, _FORMAT: 1}

_TYPES = {1: "B", 3: "H", 4: "I"}
_MOST_VALUES = 16  # of the tags that are read
_COMPRESSIONS = {1, 5, 8, 32773, 32946}  # none, LZW, deflate, PackBits, deflate's older number
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB = 0, 1, 2
_ALPHA_UNASSOCIATED = 2
_FORMATS = {2: "int", 3: "float"}


class _Entry(NamedTuple):
    values: tuple[int, ...]
    at: int  # of the first value, in bytes


def size(data: bytes) -> tuple[int, int]:
    """Height and width of the first page.

    Raises:
        ValueError: they are not there, or not as TIFF 6.0 wants them.
        struct.error, IndexError: the data end before them.
    """
    tags = _tags(data)
    if _WIDTH not in tags or _HEIGHT not in tags:
        raise ValueError("a TIFF without width and height; the file is damaged")
    (height, *more), (width, *more_) = tags[_HEIGHT].values, tags[_WIDTH].values
    if more or more_:
        raise ValueError("a TIFF with several widths or heights; the file is damaged")
    return height, width


def prepared(data: bytes) -> tuple[bytes, bool]:
    """The file as OpenCV decodes it right, and whether its 16-bit values come out inverted.

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
    """Without the word that colours are to be multiplied by alpha when they are shown."""
    alpha = tags.get(_ALPHA)
    if alpha is None or _ALPHA_UNASSOCIATED not in alpha.values:
        return data
    if len(alpha.values) > 1:
        raise ValueError(f"a TIFF with {len(alpha.values)} extra channels; save it as RGB")
    changed = bytearray(data)
    changed[alpha.at : alpha.at + 2] = bytes(2)
    return bytes(changed)


def _tags(data: bytes) -> dict[int, _Entry]:
    """Those of the first directory that are read here."""
    order = "<" if data.startswith(b"II") else ">"
    (at,) = struct.unpack_from(order + "I", data, 4)
    (count,) = struct.unpack_from(order + "H", data, at)
    found: dict[int, _Entry] = {}
    for entry in range(at + 2, at + 2 + 12 * count, 12):
        tag, kind, length = struct.unpack_from(order + "HHI", data, entry)
        if tag not in _READ:
            continue
        if tag in found:
            raise ValueError(f"a TIFF that has tag {tag} twice; the file is damaged")
        if kind not in _TYPES or not 1 <= length <= _MOST_VALUES:
            raise ValueError(f"a TIFF whose tag {tag} is of type {kind} and length {length}")
        form = f"{order}{length}{_TYPES[kind]}"
        (value_at,) = struct.unpack_from(order + "I", data, entry + 8)
        value_at = entry + 8 if struct.calcsize(form) <= 4 else value_at
        found[tag] = _Entry(struct.unpack_from(form, data, value_at), value_at)
    return found
