"""Arrays that stay in their file: slices of a verified ``.npy`` are read when they are needed.

A memory map would do the same, but a mapped file that is cut short ends the process, and one that
is written over changes what is computed from it. A read can be checked: if the file was touched
since it was hashed, it is hashed again before anything is computed from what was read. The file
stays open, so that it may be moved or deleted.
"""

from __future__ import annotations

import hashlib
import math
import os
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ad_runtime.artifact.npy import START_BYTES, Shaped, values_at
from edge_ad_runtime.artifact.schema import FileEntry
from edge_ad_runtime.errors import ArtifactError

_BLOCK_BYTES = 1 << 20

_Stamp = tuple[int, int, int]


class HashedFile:
    """A plain file that stays open, of which only what was hashed is ever handed out.

    Several threads may read at once.

    Args:
        descriptor: the open file, which is this object's to close.
        path: where it was opened, for messages.

    Attributes:
        entry: the size and the SHA-256 of the file.

    Raises:
        OSError: it cannot be read.
    """

    def __init__(self, descriptor: int, path: Path) -> None:
        self.path = path
        self._descriptor = descriptor
        self._lock = Lock()
        self._stamp = _stamp(descriptor)
        self.entry = FileEntry(size_bytes=self._stamp[0], sha256=_digest(descriptor))

    def read_into(self, values: NDArray[Any], offset: int) -> None:
        """Fill a C-contiguous array with the bytes from ``offset`` on.

        Raises:
            ArtifactError: the file has changed since it was hashed, or cannot be read.
        """
        while True:
            try:
                self._fill(values, offset)
                with self._lock:
                    if _stamp(self._descriptor) == self._stamp:
                        return
                    self._hash_again()
            except OSError as exc:
                raise ArtifactError(f"cannot be read: {exc.strerror}", path=self.path) from exc

    def close(self) -> None:
        """Close the file. Nothing may be read afterwards."""
        os.close(self._descriptor)

    def _fill(self, values: NDArray[Any], offset: int) -> None:
        content, filled = values.data.cast("B"), 0
        while count := os.preadv(self._descriptor, [content[filled:]], offset + filled):
            filled += count

    def _hash_again(self) -> None:
        """Take the new stamp if the content is still the same: a file may be moved or deleted."""
        stamp = _stamp(self._descriptor)
        if stamp[0] != self.entry.size_bytes or _digest(self._descriptor) != self.entry.sha256:
            raise ArtifactError(
                "has changed since it was loaded; load the artifact again", path=self.path
            )
        self._stamp = stamp


class StoredSlices:
    """An array in a ``.npy`` file, ``(n, ...)``, of which single slices ``[i]`` are read.

    Args:
        file: the open file, which is this object's to close.
        expected: the type and the shape of the array.

    Raises:
        ValueError: the file holds something else.
    """

    def __init__(self, file: HashedFile, expected: Shaped) -> None:
        start = np.empty(min(START_BYTES, file.entry.size_bytes), np.uint8)
        file.read_into(start, 0)
        self._at = values_at(start, expected, size_bytes=file.entry.size_bytes)
        self._file = file
        self._shape = expected.shape[1:]
        self._dtype = np.dtype(expected.dtype)
        self._slice_bytes = math.prod(self._shape) * self._dtype.itemsize

    def read(self, i: int) -> NDArray[Any]:
        """The slice ``[i]``.

        Raises:
            ArtifactError: see `HashedFile.read_into`.
        """
        values = np.empty(self._shape, self._dtype)
        self._file.read_into(values, self._at + i * self._slice_bytes)
        return values

    def close(self) -> None:
        """Close the file. Nothing may be read afterwards."""
        self._file.close()


def _digest(descriptor: int) -> str:
    digest, offset = hashlib.sha256(), 0
    while block := os.pread(descriptor, _BLOCK_BYTES, offset):
        digest.update(block)
        offset += len(block)
    return digest.hexdigest()


def _stamp(descriptor: int) -> _Stamp:
    """What changes whenever the file's content is written or cut, and when it is renamed."""
    status = os.fstat(descriptor)
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns
