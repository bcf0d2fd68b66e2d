"""A folder that a camera's own software writes into. A file is given once, over restarts too."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from edge_ad_line.cameras.camera import CameraError, Frame
from edge_ad_line.config import FolderCamera
from edge_ad_runtime.errors import ConfigError
from edge_ad_runtime.images import MAX_PIXELS
from edge_ad_runtime.images.watched_folder import WatchedFolder
from edge_ad_runtime.regular_file import read_regular

_MOST_BYTES = 8 * MAX_PIXELS


class Folder:
    """See `FolderCamera`.

    Args:
        config: its settings.
        has_result: whether the file that a text names has a result already.
    """

    pause_s = 0.0
    waits = True
    silence_s: float | None = None

    def __init__(self, config: FolderCamera, has_result: Callable[[str], bool]) -> None:
        self._config, self._has_result = config, has_result
        self._folder = Path(config.folder)
        self._watched: WatchedFolder | None = None
        self._ready: deque[Path] = deque()

    def open(self) -> None:
        """Take the first look. After a loss it goes on where it was."""
        if self._watched is not None:
            self._look(self._watched)
            return
        try:
            self._watched = WatchedFolder(self._folder, existing=self._config.existing)
        except ConfigError as exc:
            raise CameraError(str(exc)) from exc

    def grab(self, timeout_s: float) -> Frame | None:
        """The next file that is complete and has no result. One that cannot be read is empty."""
        until = time.monotonic() + timeout_s
        while True:
            while self._ready:
                frame = self._frame(self._ready.popleft())
                if frame is not None:
                    return frame
            if (left := until - time.monotonic()) <= 0:
                return None
            time.sleep(min(left, self._config.every_ms / 1000))
            if self._watched is not None:
                self._look(self._watched)

    def close(self) -> None:
        """Nothing is held."""

    def _look(self, watched: WatchedFolder) -> None:
        self._ready.extend(watched.complete())
        if watched.error is not None:
            raise CameraError(watched.error)

    def _frame(self, path: Path) -> Frame | None:
        begun = time.monotonic()
        try:
            source = _source(path)
            if self._has_result(source):
                self._delete(path)
                return None
            content = read_regular(path, most_bytes=_MOST_BYTES)
        except FileNotFoundError:
            return None
        except OSError:
            source, content = _source_of_link(path), b""
            if self._has_result(source):
                return None
        return Frame(
            begun_s=begun, encoded=content, source=source, stored=lambda: self._delete(path)
        )

    def _delete(self, path: Path) -> None:
        if self._config.delete:
            with suppress(OSError):
                path.unlink()


def _source(path: Path) -> str:
    """A text that names this very file: another one of the same name has another text."""
    return _text(path, path.stat())


def _source_of_link(path: Path) -> str:
    try:
        return _text(path, path.lstat())
    except OSError:
        return path.name


def _text(path: Path, status: os.stat_result) -> str:
    name = os.fsencode(path.name).decode("utf-8", "backslashreplace")
    return f"{name} {status.st_mtime_ns} {status.st_size} {status.st_ino}"
