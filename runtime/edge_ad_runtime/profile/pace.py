"""Whether verdicts come in time when images come at a rate. It takes minutes for heat to show."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from edge_ad_runtime.detector import Detector
from edge_ad_runtime.profile.latency import StageLatency, percentiles


@dataclass(frozen=True, kw_only=True)
class Pace:
    """What a line at ``fps`` images a second would have seen.

    Attributes:
        fps: the number of frames a second.
        minutes: how long the frames came, in minutes.
        budget_ms: a verdict is in time if it comes at most this long after its frame was due.
        frames: the number of frames that were due.
        scored: the number of frames that were begun before the time was up. The others are misses.
        misses: the number of frames without a verdict in time.
        miss_fraction: the misses as a fraction of all frames.
        longest_run: the most misses in a row.
        late: the number of frames that came while the frame before was still in work.
        latency: the time from when a frame was due to its verdict, over the scored frames.
        starts_ms: when each scored frame was begun. Frame i was due at ``1000 * i / fps``.
        latencies_ms: the raw samples of ``latency``.
        samples_ms: what each scored frame took, by stage.
    """

    fps: float
    minutes: float
    budget_ms: float
    frames: int
    scored: int
    misses: int
    miss_fraction: float
    longest_run: int
    late: int
    latency: StageLatency
    starts_ms: list[float]
    latencies_ms: list[float]
    samples_ms: dict[str, list[float]]


def frames_due(fps: float, minutes: float) -> int:
    """The number of frames in that time, which is at least one."""
    return max(1, int(fps * minutes * 60))


def keep_pace(
    detector: Detector,
    images: Sequence[Path],
    *,
    fps: float,
    minutes: float,
    budget_ms: float,
    tick: Callable[[], None] = lambda: None,
    clock: Callable[[], float] = time.perf_counter,
    sleep: Callable[[float], None] = time.sleep,
) -> Pace:
    """Score a frame every ``1 / fps`` seconds. A frame that is due while one is in work must wait.

    Args:
        detector: the loaded artifact.
        images: the files to cycle through.
        fps: the number of frames a second.
        minutes: how long frames come, in minutes.
        budget_ms: the time that a verdict may take from when its frame was due.
        tick: what to call after each frame.
        clock: gives the time in seconds.
        sleep: waits for a number of seconds.
    """
    frames, late = frames_due(fps, minutes), 0
    starts_ms: list[float] = []
    latencies_ms: list[float] = []
    samples_ms: dict[str, list[float]] = {stage: [] for stage in detector.timed}
    epoch = clock()
    for i in range(frames):
        due, now = i / fps, clock() - epoch
        if now >= frames / fps:
            break
        late += now > due and i > 0
        if now < due:
            sleep(due - now)
        starts_ms.append((clock() - epoch) * 1e3)
        for stage, value in detector.predict(images[i % len(images)]).timings_ms.items():
            samples_ms[stage].append(value)
        latencies_ms.append((clock() - epoch - due) * 1e3)
        tick()
    unscored = frames - len(latencies_ms)
    missed = [latency > budget_ms for latency in latencies_ms] + [True] * unscored
    return Pace(
        fps=fps,
        minutes=minutes,
        budget_ms=budget_ms,
        frames=frames,
        scored=len(latencies_ms),
        misses=sum(missed),
        miss_fraction=sum(missed) / frames,
        longest_run=max((len(list(run)) for miss, run in groupby(missed) if miss), default=0),
        late=late + unscored,
        latency=percentiles(latencies_ms),
        starts_ms=starts_ms,
        latencies_ms=latencies_ms,
        samples_ms=samples_ms,
    )
