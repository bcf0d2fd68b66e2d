"""Give the images that come into a folder, each when it is complete.

A watch is to outlive what happens to its folder. Entries that cannot be read are given like images,
so that they get a line that says why. If the folder is gone, the watch waits for it.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from edge_ad_runtime.errors import ConfigError
from edge_ad_runtime.images import IMAGE_SUFFIXES

_LONGEST_SLEEP_S = 0.1  # it is short, so that a signal is seen soon

# The time of the last change in ns, the size in bytes, the file's own number, and the time of the
# last change of any of these or of the permissions. By them, a copy that has the time and the size
# of the file before it is still another image.
_Stamp = tuple[int, int, int, int]


class WatchedFolder:
    """A folder that is looked at again and again, without its subfolders.

    An image is complete when two looks find it with the same size and time of change. It is given
    once. A file that changes later is another image, because a camera may use its names again or a
    copy may have stalled.

    Attributes:
        error: why the last look did not see the folder, or None if it did.
    """

    def __init__(self, folder: Path, *, existing: bool = False) -> None:
        """Take the first look. Images that are there are left alone unless ``existing``.

        Raises:
            ConfigError: there is no such folder.
        """
        self._folder = folder
        self.error: str | None = None
        try:
            self._seen = self._look()
        except OSError as exc:
            raise ConfigError(f"{folder}: cannot be watched: {exc.strerror}") from exc
        self._given = {} if existing else self._seen

    def complete(self) -> list[Path]:
        """Look once more, and give the images that are newly complete, oldest first.

        There are none while the folder is gone. When the same files come back, as on a share that
        was not mounted for a while, those that were given before are not given again.
        """
        try:
            found = self._look()
        except OSError as exc:
            self.error = f"{self._folder}: cannot be watched: {exc.strerror}"
            return []
        self.error = None
        before, self._seen = self._seen, found
        ready = {
            path: stamp
            for path, stamp in self._seen.items()
            if before.get(path) == stamp != self._given.get(path)
        }
        still_there = {path: s for path, s in self._given.items() if path in self._seen}
        self._given = still_there | ready
        return sorted(ready, key=lambda path: (ready[path], path))

    def _look(self) -> dict[Path, _Stamp]:
        with os.scandir(self._folder) as entries:
            found = {Path(entry.path): _stamp(entry) for entry in entries}
        return {path: stamp for path, stamp in found.items() if stamp is not None}


def _stamp(entry: os.DirEntry[str]) -> _Stamp | None:
    """The stamp of a file, or None if its name is no image's, or it is a folder, or it is gone."""
    if Path(entry.name).suffix.lower() not in IMAGE_SUFFIXES:
        return None
    try:
        if entry.is_dir():
            return None
        status = entry.stat()
    except OSError:  # a link that leads nowhere, or to itself, or where nobody may look
        try:
            status = entry.stat(follow_symlinks=False)
        except OSError:
            return None
    return status.st_mtime_ns, status.st_size, status.st_ino, status.st_ctime_ns


def watch(
    folder: WatchedFolder,
    *,
    every_s: float,
    stopped: Callable[[], bool],
    tell: Callable[[str], object] = lambda text: None,
) -> Iterator[Path]:
    """Give complete images until ``stopped`` says so, looking every ``every_s`` seconds.

    Args:
        folder: the folder to watch.
        every_s: the seconds between two looks.
        stopped: whether to stop. It is asked before each image, and ten times a second in between.
        tell: what to call with a text when the folder is gone, and when it is there again.
    """
    gone = None
    while not stopped():
        images = folder.complete()
        if folder.error != gone:
            tell(f"{folder.error}; waiting for it" if folder.error else "the folder is back")
            gone = folder.error
        for path in images:
            if stopped():
                return
            yield path
        _sleep(every_s, stopped)


def _sleep(seconds: float, stopped: Callable[[], bool]) -> None:
    until = time.monotonic() + seconds
    while not stopped() and (left := until - time.monotonic()) > 0:
        time.sleep(min(left, _LONGEST_SLEEP_S))


@contextmanager
def stop_signals() -> Iterator[Callable[[], bool]]:
    """Give a function that says if SIGTERM or SIGINT has come, so that work in hand is finished."""
    received: list[int] = []

    def receive(number: int, frame: FrameType | None) -> None:
        received.append(number)

    numbers = (signal.SIGTERM, signal.SIGINT)
    previous = [signal.signal(number, receive) for number in numbers]
    try:
        yield lambda: bool(received)
    finally:
        for number, handler in zip(numbers, previous, strict=True):
            signal.signal(number, handler)
