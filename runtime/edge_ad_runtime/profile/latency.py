"""How long an image takes, stage by stage, with several artifacts and engines in alternation."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path

import numpy as np

from edge_ad_runtime.decision.threshold import Verdict
from edge_ad_runtime.detector import Detector
from edge_ad_runtime.profile.child import run_child
from edge_ad_runtime.profile.throughput import Throughput
from edge_ad_runtime.provenance import Provenance, provenance

_PAUSE_S = 0.02  # when an engine is done, its threads spin for a while, in the next one's way

# The time covers start-up, imports, loading and the first score. (The peak is what the kernel
# counts for this program. getrusage would also count what the process that started it held.)
_COLD_START = """
import json, pathlib, sys
from edge_ad_runtime import Detector
job = json.load(sys.stdin)
detector = Detector.load(job["artifact"], engine=job["engine"], threads=job["threads"])
detector.predict(job["images"][0])
status = pathlib.Path("/proc/self/status").read_text().split()
print(int(status[status.index("VmHWM:") + 1]) * 1024)
"""


@dataclass(frozen=True, kw_only=True)
class StageLatency:
    """The percentiles of one stage over the images, in milliseconds."""

    p50_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float


@dataclass(frozen=True, kw_only=True)
class Latency(Provenance):
    """What one artifact takes on one engine.

    Attributes:
        images: the number of predictions that were timed.
        stages: the percentiles of each stage, in pipeline order with ``total`` last.
        cold_start_ms: the time from starting a Python process to its first score.
        peak_memory_bytes: the largest resident set of that process.
        throughput: the images per second in batches, where that was measured.
        verdicts: the verdict of each image file.
        starts_ms: when each prediction began, counted from the start of the first prediction of
            all artifacts and engines that alternate.
        samples_ms: the raw samples of each stage, in the order in which they were taken.
    """

    images: int
    stages: dict[str, StageLatency]
    cold_start_ms: float
    peak_memory_bytes: int
    throughput: tuple[Throughput, ...] = ()
    verdicts: dict[str, Verdict]
    starts_ms: list[float]
    samples_ms: dict[str, list[float]]


def measure_latency(
    detectors: Sequence[Detector],
    images: Sequence[Path],
    *,
    count: int,
    warmup: int,
    tick: Callable[[], None] = lambda: None,
) -> list[Latency]:
    """Time ``count`` predictions of each detector, from file to map, cycling through ``images``.

    All detectors take an image before any takes the next, so that whatever slows the machine down
    for a while slows all of them down.

    Args:
        detectors: the loaded artifacts.
        images: the files to score. Each is read from disk every time, and after the first time from
            the page cache.
        count: the number of timed predictions of each detector.
        warmup: the number of predictions before them, which are not counted.
        tick: what to call after each image.
    """
    for path in islice(cycle(images), warmup):
        for detector in detectors:
            detector.predict(path)
    runs = [_Run(detector) for detector in detectors]
    epoch = time.perf_counter()
    for path in islice(cycle(images), count):
        for run in runs:
            if len(runs) > 1:
                time.sleep(_PAUSE_S)
            run.take(path, epoch)
        tick()
    return [run.finished(images[0]) for run in runs]


class _Run:
    """The samples of one detector as they come in."""

    def __init__(self, detector: Detector) -> None:
        self._detector = detector
        self._verdicts: dict[str, Verdict] = {}
        self._starts_ms: list[float] = []
        self._samples_ms: dict[str, list[float]] = {stage: [] for stage in detector.timed}

    def take(self, path: Path, epoch: float) -> None:
        """Score one image. Starts are counted from ``epoch``, in the clock's seconds."""
        self._starts_ms.append((time.perf_counter() - epoch) * 1e3)
        prediction = self._detector.predict(path)
        self._verdicts[str(path)] = prediction.verdict
        for stage, value in prediction.timings_ms.items():
            self._samples_ms[stage].append(value)

    def finished(self, image: Path) -> Latency:
        """Summarise the samples, and measure a cold start on ``image``."""
        detector = self._detector
        cold_start_ms, peak_memory_bytes = _cold_start(detector, image)
        return Latency(
            **vars(provenance(detector)),
            images=len(self._starts_ms),
            stages={stage: percentiles(values) for stage, values in self._samples_ms.items()},
            cold_start_ms=cold_start_ms,
            peak_memory_bytes=peak_memory_bytes,
            verdicts=self._verdicts,
            starts_ms=self._starts_ms,
            samples_ms=self._samples_ms,
        )


def percentiles(values: Sequence[float]) -> StageLatency:
    """The percentiles of at least one sample, in milliseconds."""
    p50, p95, p99 = np.percentile(values, [50, 95, 99])
    return StageLatency(p50_ms=float(p50), p95_ms=float(p95), p99_ms=float(p99), max_ms=max(values))


def _cold_start(detector: Detector, image: Path) -> tuple[float, int]:
    job = {
        "artifact": str(detector.artifact.folder),
        "engine": detector.engine.name,
        "threads": detector.options.threads,
        "images": [str(image)],
    }
    start = time.perf_counter()
    printed = run_child(_COLD_START, job)
    return (time.perf_counter() - start) * 1e3, int(printed)
