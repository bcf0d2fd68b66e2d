"""Whether verdicts come in time when images come at a rate, for minutes: heat shows late."""

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
        fps: frames a second.
        minutes: how long.
        budget_ms: a verdict is in time if it comes at most this long after its frame was due.
        frames: that were due.
        scored: those that were begun before the time was up; the others are misses.
        misses: frames without a verdict in time.
        miss_fraction: of all frames.
        longest_run: most misses in a row.
        late: frames that came while the one before was still in work.
        latency: of the scored frames, from when one was due to its verdict.
        starts_ms: when each scored frame was begun; frame i was due at ``1000 * i / fps``.
        latencies_ms: the raw samples of ``latency``.
        samples_ms: per stage, of each scored frame.
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
    """Frames in that time, at least one."""
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
    """Score a frame every ``1 / fps`` seconds; one that comes too early for us waits its turn.

    Args:
        detector: a loaded artifact.
        images: files to cycle through.
        fps: frames a second.
        minutes: how long.
        budget_ms: from a frame's due time to its verdict.
        tick: called after each frame.
        clock: in seconds.
        sleep: of seconds.
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
