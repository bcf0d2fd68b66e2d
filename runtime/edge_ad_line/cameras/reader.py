"""`CameraReader`: a thread that keeps a camera open for ever, and hands on what it gives."""

from __future__ import annotations

import threading
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from edge_ad_line.backoff import backoff_s
from edge_ad_line.cameras.camera import Camera, CameraError, Frame

_LONGEST_GRAB_S = 0.5  # so that the end is seen soon
_STEP_PX = 16  # of the pixels that are compared
_FRAMES_OF_SILENCE = 3


class Silence:
    """Decides from times alone whether a camera that sends by itself is lost.

    It is after ``silence_s``, and not before three of its usual intervals have passed.
    """

    def __init__(self, silence_s: float | None) -> None:
        self._silence_s = silence_s
        self._interval_s = 0.0
        self._last_s: float | None = None

    def heard(self, now_s: float) -> None:
        """A picture has come."""
        if self._last_s is not None:
            self._interval_s += 0.2 * (now_s - self._last_s - self._interval_s)
        self._last_s = now_s

    def opened(self, now_s: float) -> None:
        """The camera was opened: silence is counted from now."""
        self._last_s = now_s

    def is_too_long(self, now_s: float) -> bool:
        """Whether the camera is lost."""
        if self._silence_s is None or self._last_s is None:
            return False
        longest = max(self._silence_s, _FRAMES_OF_SILENCE * self._interval_s)
        return now_s - self._last_s > longest


class Repeats:
    """Counts how often a camera gives the same picture in a row."""

    def __init__(self, frozen_after: int) -> None:
        self._frozen_after = frozen_after
        self._last: int | None = None
        self._count = 0

    def is_frozen(self, frame: Frame) -> bool:
        """Whether this picture is one of too many that are equal."""
        if self._frozen_after == 0:
            return False
        mark = fingerprint(frame)
        self._count = self._count + 1 if mark == self._last else 1
        self._last = mark
        return self._count >= self._frozen_after


def fingerprint(frame: Frame) -> int:
    """A number that two pictures of a living sensor do not share, as their noise differs."""
    if frame.pixels is None:
        return zlib.crc32(frame.encoded or b"")
    return zlib.crc32(frame.pixels[::_STEP_PX, ::_STEP_PX].tobytes())


@dataclass(frozen=True, kw_only=True)
class CameraState:
    """How a camera is doing.

    Attributes:
        name: its name.
        is_up: whether it is open and not silent.
        error: why it is not.
        reconnects: how often it was opened again.
        frames: how many pictures it has given.
        frame_age_s: how long ago the last one came, or None.
        is_frozen: whether it repeats itself.
    """

    name: str
    is_up: bool
    error: str | None
    reconnects: int
    frames: int
    frame_age_s: float | None
    is_frozen: bool

    def to_record(self) -> dict[str, Any]:
        """JSON."""
        age = self.frame_age_s
        return {**vars(self), "frame_age_s": None if age is None else round(age, 3)}


class CameraReader:
    """Reads one camera in a thread of its own.

    Args:
        name: the camera's name.
        camera: the camera. Only this thread uses it.
        deliver: gets each picture. It may wait for a camera whose pictures wait.
        changed: is told the state whenever the camera is lost or back.
        frozen_after: so many equal pictures in a row are a frozen camera. 0 never says so.
        grabs_on_request: whether a picture is only asked for when somebody wants one. It is still
            asked for every two seconds, so that a loss is seen.
    """

    def __init__(
        self,
        name: str,
        camera: Camera,
        deliver: Callable[[Frame], None],
        changed: Callable[[CameraState], None],
        *,
        frozen_after: int = 0,
        grabs_on_request: bool = False,
    ) -> None:
        self.name, self._camera = name, camera
        self._deliver, self._changed = deliver, changed
        self._silence = Silence(camera.silence_s)
        self._repeats = Repeats(frozen_after)
        pause = max(camera.pause_s, 1.5) if grabs_on_request else camera.pause_s
        self._pause_s = pause if camera.pause_s else 0.0
        self._wanted, self._stopped = threading.Event(), threading.Event()
        self._error: str | None = "it was not opened yet"
        self._frames = self._opened = 0
        self._last_frame_s: float | None = None
        self._is_frozen = False
        self._thread = threading.Thread(target=self._run, name=f"camera-{name}", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def want(self) -> None:
        """Ask for a picture now, if the camera gives one when it is asked."""
        self._wanted.set()

    def stop(self, timeout_s: float = 5.0) -> None:
        """Take no more pictures. A camera that hangs is left behind."""
        self._stopped.set()
        self._wanted.set()
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def state(self) -> CameraState:
        """How the camera is doing. A read that hangs is a silence too."""
        now, last = time.monotonic(), self._last_frame_s
        error = self._error
        if error is None and self._silence.is_too_long(now):
            error = "no picture comes"
        return CameraState(
            name=self.name,
            is_up=error is None,
            error=error,
            reconnects=max(0, self._opened - 1),
            frames=self._frames,
            frame_age_s=None if last is None else now - last,
            is_frozen=self._is_frozen,
        )

    def _run(self) -> None:
        failures = 0
        while not self._stopped.is_set():
            if self._stopped.wait(backoff_s(failures)):
                break
            before = self._frames
            try:
                self._camera.open()
                self._read()
            except CameraError as exc:
                self._lost(str(exc))
            except Exception as exc:  # a driver's own error must not end the thread
                self._lost(f"{type(exc).__name__}: {exc}")
            self._camera.close()
            failures = 1 if self._frames > before else failures + 1

    def _read(self) -> None:
        """Hand on pictures until the camera is lost or nobody wants more."""
        self._opened += 1
        self._silence.opened(time.monotonic())
        if not self._camera.pause_s:  # others are up when they have given a picture
            self._found()
        while not self._stopped.is_set():
            frame = self._camera.grab(_LONGEST_GRAB_S)
            now = time.monotonic()
            if frame is not None:
                self._found()
                self._take(frame, now)
            elif self._silence.is_too_long(now):
                raise CameraError("no picture comes")
            if self._pause_s:
                self._wanted.wait(self._pause_s)
                self._wanted.clear()

    def _take(self, frame: Frame, now_s: float) -> None:
        self._silence.heard(now_s)
        self._frames += 1
        self._last_frame_s = now_s
        self._is_frozen = self._repeats.is_frozen(frame)
        self._deliver(replace(frame, is_frozen=True) if self._is_frozen else frame)

    def _found(self) -> None:
        if self._error is not None:
            self._error = None
            self._changed(self.state())

    def _lost(self, error: str) -> None:
        was_up, self._error = self._error is None, error
        if was_up:
            self._changed(self.state())
