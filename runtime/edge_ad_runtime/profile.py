"""Per-stage latency, cold start and memory, against a cycle-time budget."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import cycle, islice
from pathlib import Path

import numpy as np

from edge_ad_runtime.detector import Detector
from edge_ad_runtime.device import machine
from edge_ad_runtime.errors import EngineError

STAGES = ("decode", "preprocess", "network", "search", "postprocess", "total")
_BINS = 48

# Runs in a fresh interpreter: start-up, imports, load and the first score are all paid for.
_COLD_START = """
import resource, sys
from edge_ad_runtime import Detector
threads = int(sys.argv[3]) or None
Detector.load(sys.argv[1], threads=threads).predict(sys.argv[2])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
"""


@dataclass(frozen=True, kw_only=True)
class StageLatency:
    """Percentiles over the images of one stage, in milliseconds."""

    p50_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float


@dataclass(frozen=True, kw_only=True)
class ProfileReport:
    """What ``edge-ad profile`` measured.

    Attributes:
        stages: percentiles per stage, in pipeline order, ``total`` last.
        samples_ms: the raw samples per stage, in the order taken.
        cold_start_ms: from starting a Python process to its first score.
        peak_memory_bytes: largest resident set of that process.
        budget_ms: the cycle-time budget, where one was given.
        within_budget: whether the 99th percentile of ``total`` is at most the budget.
    """

    artifact: str
    artifact_sha256: str
    engine: str
    engine_version: str
    search: str
    threads: int | None
    machine: dict[str, str | int]
    images: int
    stages: dict[str, StageLatency]
    cold_start_ms: float
    peak_memory_bytes: int
    budget_ms: float | None
    within_budget: bool | None
    samples_ms: dict[str, list[float]]

    def to_json(self) -> str:
        """One JSON object with the raw samples; fields are only ever added."""
        return json.dumps(asdict(self), indent=2)

    def to_svg(self) -> str:
        """A histogram of the total latency, its percentiles and the budget marked."""
        return _histogram_svg(self)


def profile(
    detector: Detector,
    images: Sequence[Path],
    *,
    count: int = 200,
    warmup: int = 10,
    threads: int | None = None,
    budget_ms: float | None = None,
    tick: Callable[[], None] = lambda: None,
) -> ProfileReport:
    """Time ``count`` predictions from file to map, cycling through ``images``.

    Args:
        detector: a loaded artifact.
        images: files to score; read from disk each time (after the first, from the page cache).
        count: timed predictions.
        warmup: predictions before them, not counted.
        threads: what the detector was loaded with; the cold start uses the same.
        budget_ms: cycle-time budget for the 99th percentile of the total.
        tick: called after each timed prediction.
    """
    for path in islice(cycle(images), warmup):
        detector.predict(path)
    samples_ms: dict[str, list[float]] = {stage: [] for stage in STAGES}
    for path in islice(cycle(images), count):
        for stage, value in detector.predict(path).timings_ms.items():
            samples_ms[stage].append(value)
        tick()
    cold_start_ms, peak_memory_bytes = _cold_start(detector, images[0], threads)
    stages = {stage: _percentiles(values) for stage, values in samples_ms.items()}
    within = None if budget_ms is None else stages["total"].p99_ms <= budget_ms
    return ProfileReport(
        artifact=detector.artifact.folder.name,
        artifact_sha256=detector.manifest.sha256,
        engine=detector.engine.name,
        engine_version=detector.engine.version,
        search=detector.search,
        threads=threads,
        machine=machine(),
        images=count,
        stages=stages,
        cold_start_ms=cold_start_ms,
        peak_memory_bytes=peak_memory_bytes,
        budget_ms=budget_ms,
        within_budget=within,
        samples_ms=samples_ms,
    )


def _percentiles(values: list[float]) -> StageLatency:
    p50, p95, p99 = np.percentile(values, [50, 95, 99])
    return StageLatency(p50_ms=float(p50), p95_ms=float(p95), p99_ms=float(p99), max_ms=max(values))


def _cold_start(detector: Detector, image: Path, threads: int | None) -> tuple[float, int]:
    arguments = [str(detector.artifact.folder), str(image), str(threads or 0)]
    start = time.perf_counter()
    child = subprocess.run(
        [sys.executable, "-c", _COLD_START, *arguments], capture_output=True, text=True, check=False
    )
    elapsed_ms = (time.perf_counter() - start) * 1e3
    if child.returncode != 0:
        raise EngineError(f"a fresh process could not score {image}: {child.stderr.strip()}")
    return elapsed_ms, int(child.stdout)


def _histogram_svg(report: ProfileReport) -> str:
    totals = np.asarray(report.samples_ms["total"])
    marks = {"p50": report.stages["total"].p50_ms, "p99": report.stages["total"].p99_ms}
    if report.budget_ms is not None:
        marks["budget"] = report.budget_ms
    right = max(totals.max(), *marks.values()) * 1.05
    counts, edges = np.histogram(totals, bins=_BINS, range=(0, right))
    width, height, left, base = 640, 240, 10, 200
    per_ms = (width - 2 * left) / right
    bars = "".join(
        f'<rect x="{left + edge * per_ms:.1f}" y="{base - bar:.1f}" '
        f'width="{right / _BINS * per_ms - 1:.1f}" height="{bar:.1f}" fill="#4477aa"/>'
        for edge, bar in zip(edges, counts / counts.max() * 130, strict=False)
    )
    lines = "".join(
        f'<line x1="{left + at * per_ms:.1f}" x2="{left + at * per_ms:.1f}" y1="{30 + 12 * i}" '
        f'y2="{base}" stroke="{"#cc3311" if name == "budget" else "#222"}" stroke-dasharray="3 2"/>'
        f'<text x="{left + at * per_ms + 3:.1f}" y="{38 + 12 * i}">{name} {at:.1f} ms</text>'
        for i, (name, at) in enumerate(marks.items())
    )
    ticks = "".join(
        f'<text x="{left + at * per_ms:.1f}" y="{base + 15}" text-anchor="middle">{at:g}</text>'
        for at in _round_ticks(right)
    )
    title = f"{report.artifact}: {report.images} images, {report.engine}, {report.search} search"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="11">'
        f'<rect width="100%" height="100%" fill="white"/>'
        f'<text x="{left}" y="16" font-size="13">{_escape(title)}</text>{bars}{lines}'
        f'<line x1="{left}" x2="{width - left}" y1="{base}" y2="{base}" stroke="#222"/>{ticks}'
        f'<text x="{width / 2}" y="{base + 32}" text-anchor="middle">total per image, ms</text>'
        "</svg>\n"
    )


def _round_ticks(right: float) -> list[float]:
    step = 10 ** np.floor(np.log10(right))
    step = next(step * part for part in (0.1, 0.2, 0.5, 1) if right / (step * part) <= 10)
    return [round(float(at), 6) for at in np.arange(0, right, step)]


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
