"""A file that several processes append lines to. Any of them may die, and the disk may be full."""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from pathlib import Path

from edge_ad_runtime.errors import ConfigError


class LinesFile:
    """Appends whole lines.

    If a process died and left a torn line, that line is ended and never continued. The file is
    opened for each line, so that a log rotation may take it away in between. It is locked while it
    is written, so that several processes may append to it.
    """

    def __init__(self, path: Path) -> None:
        """Make the file and its folder if they are not there.

        Raises:
            ConfigError: it cannot be written.
        """
        self._path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as exc:
            raise ConfigError(f"{path}: cannot be written: {exc.strerror}") from exc
        self._append(b"")

    def append(self, line: str) -> None:
        """Write one line, to the end or not at all.

        Raises:
            ConfigError: it cannot be written. The file is as it was before.
        """
        self._append(line.encode() + b"\n")

    def _append(self, content: bytes) -> None:
        try:
            flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
            descriptor = os.open(self._path, flags, 0o666)
            try:
                with suppress(OSError):  # where a file system knows no locks
                    fcntl.flock(descriptor, fcntl.LOCK_EX)
                end = os.lseek(descriptor, 0, os.SEEK_END)
                is_torn = end > 0 and os.pread(descriptor, 1, end - 1) != b"\n"
                _write_all(descriptor, b"\n" + content if is_torn else content, end)
            finally:
                os.close(descriptor)
        except OSError as exc:
            raise ConfigError(f"{self._path}: cannot be written: {exc.strerror}") from exc


def _write_all(descriptor: int, content: bytes, end: int) -> None:
    """Write at the end. If not all of it fits, what was written is taken back."""
    try:
        while content:
            content = content[os.write(descriptor, content) :]
    except OSError:
        with suppress(OSError):  # a device cannot be truncated
            os.ftruncate(descriptor, end)
        raise
