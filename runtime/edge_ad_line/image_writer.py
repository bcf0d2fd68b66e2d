"""`ImageWriter`: images to the disk in a thread of low priority, never in the way of a verdict."""

from __future__ import annotations

import logging
import os
import queue
import threading
from contextlib import suppress

from edge_ad_line.cameras.camera import Frame, media_type_of
from edge_ad_line.config import KeepConfig
from edge_ad_line.result import Result
from edge_ad_line.store import Store
from edge_ad_line.store.retention import ImageClass, class_of

_LOG = logging.getLogger(__name__)
_MOST_WAITING = 16
_NICE = 10


class ImageWriter:
    """Keeps the images of results.

    A camera's own bytes are kept as they are, and pixels as a PNG.
    """

    def __init__(self, store: Store, keep: KeepConfig) -> None:
        self._store = store
        self.keep = keep
        self._seen: dict[tuple[str, str], int] = {}
        self._waiting: queue.Queue[tuple[Result, Frame, ImageClass] | None] = queue.Queue(
            _MOST_WAITING
        )
        self._thread = threading.Thread(target=self._run, name="images", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def wants(self, result: Result) -> bool:
        """Whether the image of this result is to be kept. It is asked once for each result."""
        kind = class_of(result.verdict, result.score, result.threshold)
        every = getattr(self.keep, kind).every
        count = self._seen.get((result.part, kind), 0)
        self._seen[result.part, kind] = count + 1
        return bool(count % every == 0)

    def put(self, result: Result, frame: Frame) -> None:
        """Keep an image, or count it as lost if too many wait."""
        kind = class_of(result.verdict, result.score, result.threshold)
        try:
            self._waiting.put_nowait((result, frame, kind))
        except queue.Full:
            self._store.images.lost += 1
            frame.stored()

    def close(self) -> None:
        """Write what waits, and end."""
        self._waiting.put(None)
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        with suppress(OSError):  # Linux gives each thread a priority of its own
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)
        while (item := self._waiting.get()) is not None:
            try:
                self._keep(*item)
            except Exception:  # one image that cannot be kept must not cost all that come
                _LOG.exception("an image could not be kept")
                self._store.images.lost += 1

    def _keep(self, result: Result, frame: Frame, kind: ImageClass) -> None:
        if content := frame.to_bytes():
            self._store.images.keep(result.id, content, media_type_of(content), kind)
        frame.stored()
