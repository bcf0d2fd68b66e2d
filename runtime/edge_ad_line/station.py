"""`Station`: one part's detector, the images that wait for it, and who hears of each result."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass, replace
from typing import Any

from edge_ad_line.cameras.camera import Frame, media_type_of
from edge_ad_line.config import Mode, PartConfig
from edge_ad_line.drift_watch import DriftWatch
from edge_ad_line.events import Events
from edge_ad_line.image_writer import ImageWriter
from edge_ad_line.inspection import CAMERA_FAULTS, failed, inspected, note_of
from edge_ad_line.intake import Intake, Job
from edge_ad_line.live import Live
from edge_ad_line.metrics import Metrics
from edge_ad_line.result import Result
from edge_ad_line.store import Store
from edge_ad_runtime.detector import Detector

_TAKE_S = 0.5
_REMEMBERED = 2  # images of the last results; of a large camera each has 15 MB
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, eq=False)
class Surroundings:
    """What all stations of a line share.

    Attributes:
        store: where results go first.
        images: who keeps images.
        events: who is told.
        metrics: what is counted.
        processor: held while an image is judged, so that one image gets all cores.
        unstored: is told a result that the disk has not taken.
        drifted: is told the name of a part whose scores have drifted.
    """

    store: Store
    images: ImageWriter
    events: Events
    metrics: Metrics
    processor: threading.Lock
    unstored: Callable[[Result], None]
    drifted: Callable[[str], None]


@dataclass(frozen=True, kw_only=True, eq=False)
class _Asked:
    """A trigger that waits for a frame."""

    asked_s: float
    part_id: str | None
    answer: Future[Result]


class Station:
    """One part. Frames are offered to it, and images are given to it to score.

    Attributes:
        name: the part's name.
        config: its settings.
        camera: the name of its camera, or None.
        drift: whether its scores are what they were.
        fault: why the camera's last picture could not be judged, or None.
        progress_s: the monotonic time at which the last image was taken in hand.
    """

    def __init__(
        self, config: PartConfig, live: Live, around: Surroundings, mode: Mode | None
    ) -> None:
        self.name, self.config, self.camera = config.name, config, config.camera
        self._live, self._around, self._mode = live, around, mode
        self._intake = Intake(config.queue)
        self._asked: list[_Asked] = []
        self._recent: deque[tuple[str, Frame]] = deque(maxlen=_REMEMBERED)
        self.drift = DriftWatch(config.name, around.store)
        self._asked_lock = threading.Lock()
        self.fault: str | None = None
        self.progress_s = time.monotonic()
        self._is_busy = False
        self._thread = threading.Thread(target=self._run, name=f"part-{self.name}", daemon=True)

    @property
    def live(self) -> Live:
        """The artifact that judges. The next image may have another, so take it once."""
        return self._live

    @property
    def detector(self) -> Detector:
        """The loaded artifact. See `live`."""
        return self._live.detector

    @property
    def waiting(self) -> int:
        """How many images wait."""
        return len(self._intake)

    @property
    def stuck_s(self) -> float:
        """How long the image in hand has been in hand. 0 if there is none."""
        return time.monotonic() - self.progress_s if self._is_busy else 0.0

    @property
    def is_alive(self) -> bool:
        """Whether it judges what comes."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Begin to judge."""
        self._thread.start()

    def swap(self, live: Live) -> None:
        """Let another artifact judge from the next image on.

        The one before closes itself when the image in hand is judged and nobody draws with it.
        """
        self._live = live

    def drain(self) -> None:
        """Take nothing more, and judge what waits."""
        self._intake.close()
        if self._thread.is_alive():
            self._thread.join()
        self.drift.save()

    def recent_image(self, result_id: str) -> tuple[bytes, str] | None:
        """The image of one of the last results, as bytes with their media type, or None."""
        frame = next((frame for known, frame in list(self._recent) if known == result_id), None)
        if frame is None:
            return None
        content = frame.to_bytes()
        return (content, media_type_of(content)) if content else None

    def score(
        self, content: bytes | None, pixels: Any, *, part_id: str | None, key: str | None
    ) -> Result:
        """Judge an image that somebody sends, and wait for the stored result."""
        frame = Frame(begun_s=time.monotonic(), encoded=content, pixels=pixels)
        job = Job(frame=frame, part_id=part_id, key=key)
        if not self._intake.put(job):
            return self._overrun(job)
        return job.answer.result()

    def trigger(self, part_id: str | None, want: Callable[[], None]) -> Result:
        """Judge the next frame whose exposure has not begun yet.

        Args:
            part_id: the name of this very part.
            want: asks a camera that gives a picture when it is asked.
        """
        asked = _Asked(asked_s=time.monotonic(), part_id=part_id, answer=Future())
        with self._asked_lock:
            self._asked.append(asked)
        want()
        try:
            return asked.answer.result(timeout=self.config.deadline_ms / 1000)
        except FutureTimeoutError:
            with self._asked_lock:
                is_waiting = asked in self._asked
                if is_waiting:
                    self._asked.remove(asked)
        if not is_waiting:  # a frame came: the verdict is late, and still the verdict
            return asked.answer.result()
        frame = Frame(begun_s=asked.asked_s, came_s=asked.asked_s)
        job = Job(frame=frame, camera=self.camera, part_id=part_id)
        text = f"the camera gave no picture within {self.config.deadline_ms} ms"
        return self._store(job, failed(job, self.name, "camera", text))

    def offer(self, frame: Frame, *, wait: bool) -> None:
        """Take a frame of the camera, as its mode says.

        Args:
            frame: the frame.
            wait: whether the frame can wait for room, as a file can.
        """
        with self._asked_lock:
            asked = [each for each in self._asked if each.asked_s <= frame.begun_s]
            self._asked = [each for each in self._asked if each not in asked]
        for each in asked:
            job = Job(frame=frame, camera=self.camera, part_id=each.part_id, answer=each.answer)
            if not self._intake.put(job, wait=wait):
                self._overrun(job)
        if asked or self._mode == "on-request":
            return
        job = Job(frame=frame, camera=self.camera)
        if self._mode == "triggered" or wait:
            if not self._intake.put(job, wait=wait) and not wait:
                self._overrun(job)
        elif self._intake.put_newest(job) is not None:
            self._around.metrics.dropped(self.camera or "", "newer")

    def _run(self) -> None:
        while not self._intake.is_done:
            job = self._intake.take(_TAKE_S)
            if job is not None:
                self._judge_and_answer(job)

    def _judge_and_answer(self, job: Job) -> None:
        with self._around.processor:
            self.progress_s, self._is_busy = time.monotonic(), True
            try:
                self._around.store.take_in_hand(self.name, note_of(job, self.name))
                self._store(job, self._judged(job))
            except Exception as exc:  # whoever asked must not wait for ever, nor who comes next
                _LOG.exception("part %s: a result could not be told", self.name)
                if not job.answer.done():
                    job.answer.set_exception(exc)
            finally:
                self._is_busy = False

    def _judged(self, job: Job) -> Result:
        """The result of an image. An error that nobody has thought of must not end the line."""
        live = self._live
        try:
            result = inspected(job, self.name, live, check_camera=self.config.check_camera)
            if result.score is not None:
                result = replace(result, drift=self._drift_after(live, result.score))
        except Exception as exc:
            _LOG.exception("part %s: an image could not be judged", self.name)
            result = failed(job, self.name, "network", f"{type(exc).__name__}: {exc}", live)
        if job.camera is not None:
            self.fault = result.reason if result.reason in CAMERA_FAULTS else None
        return result

    def _drift_after(self, live: Live, score: float) -> float:
        evidence, is_alarm = self.drift.update(live, score)
        if is_alarm:
            self._around.drifted(self.name)
        return round(evidence, 3)

    def _overrun(self, job: Job) -> Result:
        text = f"{self.config.queue} images wait already; the line is faster than this device"
        return self._store(job, failed(job, self.name, "overrun", text))

    def _store(self, job: Job, result: Result) -> Result:
        """Store a result. Only then is anybody told, and only then is the image kept."""
        around = self._around
        has_image = bool(job.frame.encoded) or job.frame.pixels is not None
        if has_image:
            self._recent.append((result.id, job.frame))
        if has_image and around.images.wants(result):
            result = replace(result, image=f"/v1/results/{result.id}/image")
        result = around.store.add(result, source=job.frame.source, key=job.key)
        if not job.answer.done():
            job.answer.set_result(result)
        around.metrics.judged(result, deadline_ms=self.config.deadline_ms)
        around.events.publish("result", result.to_record())
        if result.image is not None:
            around.images.put(result, job.frame)
        elif result.stored:
            job.frame.stored()
        if not result.stored:
            around.unstored(result)
        return result
