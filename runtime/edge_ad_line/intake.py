"""Images that wait for one part's detector: in order and bounded, or the newest alone."""

from __future__ import annotations

import threading
import time
from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass, field

from edge_ad_line.cameras.camera import Frame
from edge_ad_line.result import Result


@dataclass(frozen=True, kw_only=True, eq=False)
class Job:
    """An image to judge.

    Attributes:
        frame: the image.
        camera: the camera that took it, or None.
        part_id: the name of this very part, if it is known.
        key: the idempotency key of whoever asked.
        answer: what whoever asked waits for.
    """

    frame: Frame
    camera: str | None = None
    part_id: str | None = None
    key: str | None = None
    answer: Future[Result] = field(default_factory=Future)


class Intake:
    """Jobs that wait. One thread takes them.

    Args:
        limit: how many may wait in order.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._waiting: deque[Job] = deque()
        self._newest: Job | None = None
        self._changed = threading.Condition()
        self._is_closed = False

    def put(self, job: Job, *, wait: bool = False) -> bool:
        """Add a job behind the others, and say whether there was room.

        Args:
            job: the job.
            wait: whether to wait for room, as a file can.
        """
        with self._changed:
            while len(self._waiting) >= self._limit and wait and not self._is_closed:
                self._changed.wait()
            if len(self._waiting) >= self._limit or self._is_closed:
                return False
            self._waiting.append(job)
            self._changed.notify_all()
            return True

    def put_newest(self, job: Job) -> Job | None:
        """Add a job in the place of the one before, and give that one if it was not taken yet."""
        with self._changed:
            before, self._newest = self._newest, None if self._is_closed else job
            self._changed.notify_all()
            return before

    def take(self, timeout_s: float) -> Job | None:
        """The next job: those in order come first. None if there was none in this time."""
        until = time.monotonic() + timeout_s
        with self._changed:
            while not self._waiting and self._newest is None:
                left = until - time.monotonic()
                if self._is_closed or left <= 0:
                    return None
                self._changed.wait(left)
            if self._waiting:
                job = self._waiting.popleft()
            else:
                assert self._newest is not None
                job, self._newest = self._newest, None
            self._changed.notify_all()
            return job

    def close(self) -> None:
        """Let nothing more in. What waits can still be taken."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()

    @property
    def is_done(self) -> bool:
        """Whether it is closed and nothing waits."""
        with self._changed:
            return self._is_closed and not self._waiting and self._newest is None

    def __len__(self) -> int:
        with self._changed:
            return len(self._waiting) + (self._newest is not None)
