"""Images as they come into a folder, each when it is complete."""

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

_Stamp = tuple[int, int]  # time of the last change in ns, bytes


class WatchedFolder:
    """A folder that is looked at again and again; subfolders are not.

    An image is complete when two looks find it with the same size and time of change. It is given
    once; a file that changes later (a camera that uses its names again, a copy that had stalled)
    is another image.
    """

    def __init__(self, folder: Path, *, existing: bool = False) -> None:
        """The first look; images that are there are left alone unless ``existing``.

        Raises:
            ConfigError: there is no such folder.
        """
        self._folder = folder
        self._seen = self._look()
        self._given = {} if existing else self._seen

    def complete(self) -> list[Path]:
        """One more look: the images that are complete now and were not given yet, oldest first.

        Raises:
            ConfigError: the folder is gone.
        """
        before, self._seen = self._seen, self._look()
        ready = {
            path: stamp
            for path, stamp in self._seen.items()
            if before.get(path) == stamp != self._given.get(path)
        }
        still_there = {path: s for path, s in self._given.items() if path in self._seen}
        self._given = still_there | ready
        return sorted(ready, key=lambda path: (ready[path], path))

    def _look(self) -> dict[Path, _Stamp]:
        try:
            with os.scandir(self._folder) as entries:
                found = {Path(entry.path): _stamp(entry) for entry in entries}
        except OSError as exc:
            raise ConfigError(f"{self._folder}: cannot be watched: {exc.strerror}") from exc
        return {path: stamp for path, stamp in found.items() if stamp is not None}


def _stamp(entry: os.DirEntry[str]) -> _Stamp | None:
    """None if it is no image, or gone since the folder was listed."""
    try:
        if Path(entry.name).suffix.lower() in IMAGE_SUFFIXES and entry.is_file():
            return entry.stat().st_mtime_ns, entry.stat().st_size
    except FileNotFoundError:
        pass
    return None


def watch(folder: WatchedFolder, *, every_s: float, stopped: Callable[[], bool]) -> Iterator[Path]:
    """Complete images for ever, looking every ``every_s`` seconds, until ``stopped`` says so."""
    while not stopped():
        for path in folder.complete():
            if stopped():
                return
            yield path
        time.sleep(every_s)


@contextmanager
def stop_signals() -> Iterator[Callable[[], bool]]:
    """Whether SIGTERM or SIGINT has come: work in hand is finished first."""
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
