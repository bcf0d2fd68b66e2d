"""Read a file that may be anything. Only plain files are read, and only up to an expected size.

A name can stand for a FIFO, which blocks for ever, for a device, which never ends, or for a sparse
file of a terabyte. Everything that comes from outside is read through here.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

_BLOCK_BYTES = 1 << 18
_KINDS = {
    stat.S_IFIFO: "a FIFO",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
    stat.S_IFDIR: "a folder",
}


def read_regular(path: Path, *, most_bytes: int) -> bytes:
    """Read a plain file, or the plain file that a symbolic link names.

    Raises:
        OSError: the file is not there, not readable, no plain file, or larger than ``most_bytes``.
            Its ``strerror`` says which.
    """
    with open_regular(path, most_bytes=most_bytes) as (file, size_bytes):
        return file.read(size_bytes)


def read_hashed(path: Path, *, most_bytes: int) -> tuple[NDArray[np.uint8], str]:
    """Read a plain file as ``(n,)`` uint8, read-only, and give it with its SHA-256.

    Arrays can be taken from the content without a copy. Each block is hashed while it is in the
    processor's cache.
    """
    digest = hashlib.sha256()
    with open_regular(path, most_bytes=most_bytes) as (file, size_bytes):
        buffer = np.empty(size_bytes, np.uint8)
        filled = 0
        while count := file.readinto(buffer[filled : filled + _BLOCK_BYTES].data):
            digest.update(buffer[filled : filled + count].data)
            filled += count
    buffer = buffer[:filled]
    buffer.flags.writeable = False
    return buffer, digest.hexdigest()


def hash_regular(path: Path, *, most_bytes: int) -> tuple[int, str]:
    """The size and the SHA-256 of a plain file, which is read in blocks and not kept.

    Raises:
        OSError: see `read_regular`.
    """
    digest = hashlib.sha256()
    with open_regular(path, most_bytes=most_bytes) as (file, size_bytes):
        while block := file.read(_BLOCK_BYTES):
            digest.update(block)
    return size_bytes, digest.hexdigest()


@contextmanager
def open_regular(path: Path, *, most_bytes: int) -> Iterator[tuple[BufferedReader, int]]:
    """Open a plain file, and say how many bytes it has.

    Raises:
        OSError: as in `read_regular`.
    """
    try:
        # without O_NONBLOCK, opening a FIFO waits for somebody to write to it
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except ValueError as exc:  # a NUL in the name
        raise OSError(errno.EINVAL, str(exc)) from exc
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            what = _KINDS.get(stat.S_IFMT(status.st_mode), "no plain file")
            raise OSError(errno.EINVAL, f"is {what}, not a plain file")
        if status.st_size > most_bytes:
            raise OSError(
                errno.EFBIG, f"is {status.st_size:,} bytes, more than the {most_bytes:,} allowed"
            )
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            yield file, status.st_size
    finally:
        os.close(descriptor)
