"""A file that takes room while there is room, and is deleted when the disk is full."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path


class Reserve:
    """Room for results on a full disk: a file of ``size_bytes`` that holds nothing."""

    def __init__(self, path: Path, size_bytes: int) -> None:
        self._path = path
        self.size_bytes = size_bytes
        self.rebuild()

    @property
    def is_there(self) -> bool:
        """Whether the room is still held back, or none was asked for."""
        return self.size_bytes == 0 or self._path.exists()

    def release(self) -> bool:
        """Give the room to whoever writes now, and say whether there was any."""
        try:
            self._path.unlink()
        except OSError:
            return False
        return True

    def rebuild(self) -> bool:
        """Hold the room back again if twice as much is free, and say whether it is held back."""
        if self.is_there:
            return True
        if free_bytes(self._path.parent) < 2 * self.size_bytes:
            return False
        partial = self._path.with_suffix(".partial")
        try:
            descriptor = os.open(
                partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600
            )
            try:
                os.posix_fallocate(descriptor, 0, self.size_bytes)
            finally:
                os.close(descriptor)
            partial.replace(self._path)
        except OSError:
            with suppress(OSError):
                partial.unlink()
            return False
        return True


def free_bytes(folder: Path) -> int:
    """What a user may still write to the disk of a folder."""
    status = os.statvfs(folder)
    return status.f_bavail * status.f_frsize
