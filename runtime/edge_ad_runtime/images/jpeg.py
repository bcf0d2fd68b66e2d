"""Decode JPEG (ITU-T T.81) so that whatever the decoder warns of is an error.

libjpeg fills what is missing with grey and says so in a warning, which OpenCV drops. simplejpeg
gives the very same pixels (both are libjpeg-turbo) and can stop at the first warning.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import simplejpeg
from numpy.typing import NDArray

MAGIC = b"\xff\xd8\xff"

_END, _SCAN, _EXIF = 0xD9, 0xDA, 0xE1
_WITHOUT_LENGTH = {0x01, *range(0xD0, 0xD9)}  # TEM, restarts, start of image
_FRAMES = set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_READ = {0xC0, 0xC1}  # baseline, and sequential with more tables
_NAMES = {0xC2: "progressive", 0xC3: "lossless", 0xC9: "arithmetic-coded"}
_ORIENTATION = 0x0112


class _Segment(NamedTuple):
    marker: int
    content: bytes


def size(data: bytes) -> tuple[int, int]:
    """The height and width of the image.

    Raises:
        ValueError: there is no frame header, or there are two, or it is of a kind that is not read.
        struct.error, IndexError: the data end before the frame header does.
    """
    height, width, _ = _frame(list(_header(data)))
    return height, width


def decode(data: bytes) -> NDArray[np.uint8] | None:
    """Decode the pixels, ``(H, W, 3)``.

    Returns:
        The pixels, or None if the image is whole but has four channels, which others convert.

    Raises:
        ValueError: the image is damaged. The message is the decoder's.
    """
    segments = list(_header(data))
    _, _, channels = _frame(segments)
    try:
        image = simplejpeg.decode_jpeg(data, "CMYK" if channels == 4 else "RGB", strict=True)
    except ValueError as exc:
        raise ValueError(f"cannot be decoded; the file is damaged: {exc}") from exc
    if channels == 4:
        return None
    return _turned(np.asarray(image, np.uint8), _orientation(segments))


def _header(data: bytes) -> Iterator[_Segment]:
    """The segments before the first scan.

    Raises:
        ValueError: there is something else than segments before it.
        struct.error, IndexError: the data end before there is a scan.
    """
    at = 2
    while True:
        if data[at] != 0xFF:
            raise ValueError(f"a JPEG with no marker at byte {at}; the file is damaged")
        marker = data[at + 1]
        if marker == 0xFF:  # this is a fill byte
            at += 1
        elif marker in _WITHOUT_LENGTH:
            at += 2
        elif marker in (_SCAN, _END):
            return
        else:
            (length,) = struct.unpack_from(">H", data, at + 2)
            yield _Segment(marker, data[at + 4 : at + 2 + length])
            at += 2 + length


def _frame(segments: list[_Segment]) -> tuple[int, int, int]:
    """The height, the width and the number of channels."""
    frames = [segment for segment in segments if segment.marker in _FRAMES]
    if len(frames) != 1:
        raise ValueError(f"a JPEG with {len(frames)} frame headers, not 1; the file is damaged")
    marker, content = frames[0]
    if marker not in _READ:
        kind = _NAMES.get(marker, f"SOF{marker & 15}")
        raise ValueError(
            f"a JPEG of the kind {kind}, in which losses may pass unseen; save it as baseline JPEG "
            "or, better, as PNG"
        )
    bits, height, width, channels = struct.unpack_from(">BHHB", content)
    if bits != 8:
        raise ValueError(f"a JPEG of {bits} bits, 8 are read; save it as PNG")
    return height, width, channels


def _orientation(segments: list[_Segment]) -> int:
    """EXIF's orientation, 1 to 8. It is 1 (as it is) where there is none that makes sense."""
    for marker, content in segments:
        if marker == _EXIF and content.startswith(b"Exif\0\0"):
            try:
                return _orientation_of(content[6:])
            except struct.error:
                return 1
    return 1


def _orientation_of(exif: bytes) -> int:
    order = "<" if exif.startswith(b"II") else ">"
    (at,) = struct.unpack_from(order + "I", exif, 4)
    (count,) = struct.unpack_from(order + "H", exif, at)
    for entry in range(at + 2, at + 2 + 12 * count, 12):
        tag, _, _, value = struct.unpack_from(order + "HHIH", exif, entry)
        if tag == _ORIENTATION:
            return value if 1 <= value <= 8 else 1
    return 1


def _turned(image: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """Bring the image upright.

    Orientation 1 is upright, 2 to 4 are mirrored or upside down, and 5 to 8 lie on a side.
    """
    if orientation >= 5:
        image = image.transpose(1, 0, 2)
    if orientation in (3, 4, 7, 8):
        image = image[::-1]
    if orientation in (2, 3, 6, 7):
        image = image[:, ::-1]
    return np.ascontiguousarray(image)
