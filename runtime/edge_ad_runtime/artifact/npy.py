"""Read NumPy's file formats from bytes that may be hostile, evaluating and trusting nothing.

``numpy.load`` parses a header with Python's tokenizer, allocates what the header says, and raises
half a dozen kinds of errors. Here it is known beforehand what a file must hold, and a file that
holds anything else is refused. (``numpy.lib.format`` describes the format, versions 1 to 3.)
"""

from __future__ import annotations

import math
import re
import struct
import zipfile
from collections.abc import Mapping
from io import BytesIO
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

_MAGIC = b"\x93NUMPY"
_MOST_HEADER_BYTES = 4096
START_BYTES = _MOST_HEADER_BYTES + 12  # a header ends within these
_HEADER = re.compile(
    r"\{'descr': '(?P<dtype>[<>|=]?[a-zA-Z]\d{1,4})', 'fortran_order': (?P<fortran>True|False), "
    r"'shape': \((?P<shape>[\d, ]{0,200})\), \} *\n"
)


class Shaped(NamedTuple):
    """The type and the shape that an array must have."""

    dtype: type[np.generic]
    shape: tuple[int, ...]

    def __str__(self) -> str:
        return f"{np.dtype(self.dtype)} of shape {self.shape}"


def parse_npy(content: NDArray[np.uint8], expected: Shaped) -> NDArray[Any]:
    """The array in the bytes of a ``.npy`` file, which are ``(n,)`` uint8.

    The array is a view of the bytes, not a copy.

    Raises:
        ValueError: it is not such a file, or holds something else.
    """
    at = values_at(content, expected, size_bytes=len(content))
    count = math.prod(expected.shape)
    return np.frombuffer(content.data, expected.dtype, count, at).reshape(expected.shape)


def values_at(start: NDArray[np.uint8], expected: Shaped, *, size_bytes: int) -> int:
    """Where the values of the expected array begin in a ``.npy`` file.

    Args:
        start: the first `START_BYTES` of the file, or more of it, as uint8.
        expected: what it must hold.
        size_bytes: the size of the file.

    Raises:
        ValueError: it is not such a file, or holds something else.
    """
    found, order, at = _header(start)
    if found != str(expected) or order != "C":
        raise ValueError(
            f"holds {found} in {order} order, the manifest says {expected}, in C order; the two "
            "come from different exports"
        )
    needed = math.prod(expected.shape) * np.dtype(expected.dtype).itemsize
    if size_bytes != at + needed:
        raise ValueError(
            f"not a .npy array: {size_bytes - at} bytes of data, {needed} make {expected}"
        )
    return at


def parse_npz(
    content: NDArray[np.uint8], expected: Mapping[str, Shaped]
) -> dict[str, NDArray[Any]]:
    """The arrays of the expected names in the bytes of an uncompressed ``.npz`` file.

    Arrays of other names are ignored.

    Raises:
        ValueError: it is not such a file, or holds something else.
    """
    try:
        with zipfile.ZipFile(BytesIO(content.tobytes())) as archive:
            return {name: _member(archive, name, shaped) for name, shaped in expected.items()}
    except ValueError:
        raise
    except Exception as exc:  # zipfile's exception types are many
        raise ValueError(f"not an .npz archive: {exc!r}") from exc


def exchanged_npz(content: NDArray[np.uint8], arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """An uncompressed ``.npz`` file with some of its arrays exchanged, the others byte for byte.

    Args:
        content: the bytes of the file, ``(n,)`` uint8.
        arrays: the new arrays by name. The file has arrays of all these names.

    Raises:
        ValueError: it is not such a file.
    """
    buffer = BytesIO()
    try:
        with (
            zipfile.ZipFile(BytesIO(content.tobytes())) as archive,
            zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as copy,
        ):
            entries = {entry.filename: entry for entry in archive.infolist()}
            if sum(entry.file_size for entry in entries.values()) > len(content):
                raise ValueError("its arrays are larger than the file: it is compressed")
            for name in entries:
                new = arrays.get(name.removesuffix(".npy"))
                kept = archive.read(name) if new is None else _npy(new)
                copy.writestr(zipfile.ZipInfo(name), kept)
    except ValueError:
        raise
    except Exception as exc:  # zipfile's exception types are many
        raise ValueError(f"not an .npz archive: {exc!r}") from exc
    return buffer.getvalue()


def _npy(array: NDArray[Any]) -> bytes:
    buffer = BytesIO()
    np.lib.format.write_array(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def _member(archive: zipfile.ZipFile, name: str, expected: Shaped) -> NDArray[Any]:
    entry = archive.getinfo(f"{name}.npy")
    size_bytes = math.prod(expected.shape) * np.dtype(expected.dtype).itemsize
    if entry.compress_type != zipfile.ZIP_STORED or entry.file_size != entry.compress_size:
        raise ValueError(f"{name} is compressed")
    if entry.file_size > size_bytes + _MOST_HEADER_BYTES:
        raise ValueError(f"{name} is {entry.file_size} bytes, {expected} is {size_bytes}")
    try:
        return parse_npy(np.frombuffer(archive.read(entry), np.uint8), expected)
    except ValueError as exc:
        raise ValueError(f"{name} {exc}") from exc


def _header(content: NDArray[np.uint8]) -> tuple[str, str, int]:
    """The type and shape that the header states, the order of the values, and where they begin."""
    start = content[:START_BYTES].tobytes()
    if not start.startswith(_MAGIC) or len(start) < 12:
        raise ValueError("not a .npy array")
    form, at = ("<H", 10) if start[6] == 1 else ("<I", 12)
    (length,) = struct.unpack_from(form, start, 8)
    text = start[at : at + length].decode("latin-1")
    match = _HEADER.fullmatch(text) if length <= _MOST_HEADER_BYTES else None
    if match is None:
        raise ValueError("not a .npy array: its header is not NumPy's")
    shape = tuple(int(side) for side in match["shape"].replace(" ", "").split(",") if side)
    try:
        dtype = np.dtype(match["dtype"])
    except TypeError as exc:
        raise ValueError(f"not a .npy array: {exc}") from exc
    order = "Fortran" if match["fortran"] == "True" else "C"
    return f"{dtype} of shape {shape}", order, at + length
