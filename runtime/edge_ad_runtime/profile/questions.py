"""All that `edge-ad profile` can be asked, one question after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path

from edge_ad_runtime.detector import Detector
from edge_ad_runtime.device.machine_state import read_machine_state
from edge_ad_runtime.profile.latency import Latency, measure_latency
from edge_ad_runtime.profile.pace import Pace, frames_due, keep_pace
from edge_ad_runtime.profile.report import ProfileReport
from edge_ad_runtime.profile.settings import ProfileSettings
from edge_ad_runtime.profile.sweep import SweepPoint, sweep_threads, usable_cores
from edge_ad_runtime.profile.throughput import BATCHES, measure_throughput

Bar = Callable[[str, int], AbstractContextManager[Callable[[], None]]]
"""Makes a progress bar of a label and a length. What the bar gives is called after each step."""


def no_bar(label: str, length: int) -> AbstractContextManager[Callable[[], None]]:
    """A bar that shows no progress."""
    return nullcontext(lambda: None)


def ask(
    detectors: Sequence[Detector],
    images: Sequence[Path],
    settings: ProfileSettings,
    *,
    bar: Bar = no_bar,
) -> ProfileReport:
    """Measure what the settings ask for.

    Args:
        detectors: the loaded artifacts, which are timed in alternation. Sweep and pace are measured
            of the first one.
        images: the files to cycle through.
        settings: the questions.
        bar: makes the bars that show progress.

    Raises:
        EngineError: a child process, in which the sweep and the cold start run, has failed.
    """
    before = read_machine_state()
    count, warmup = settings.count, settings.warmup
    with bar("timing", count) as tick:
        latencies: Iterable[Latency] = measure_latency(
            detectors, images, count=count, warmup=warmup, tick=tick
        )
    if settings.batches:
        latencies = _with_throughput(latencies, detectors, images, settings, bar)
    return ProfileReport(
        latencies=tuple(latencies),
        budget_ms=settings.budget_ms,
        sweep=_sweep(detectors[0], images, settings, bar) if settings.sweep else (),
        pace=_pace(detectors[0], images, settings, bar),
        before=before,
        after=read_machine_state(),
    )


def _with_throughput(
    latencies: Iterable[Latency],
    detectors: Sequence[Detector],
    images: Sequence[Path],
    settings: ProfileSettings,
    bar: Bar,
) -> list[Latency]:
    """The same latencies, with the images per second in batches added."""
    count = settings.count
    with bar("batches", len(BATCHES) * len(detectors)) as tick:
        return [
            replace(latency, throughput=measure_throughput(each, images, count=count, tick=tick))
            for each, latency in zip(detectors, latencies, strict=True)
        ]


def _sweep(
    detector: Detector, images: Sequence[Path], settings: ProfileSettings, bar: Bar
) -> tuple[SweepPoint, ...]:
    with bar("threads", 2 * len(usable_cores())) as tick:
        return sweep_threads(
            detector, images, count=settings.count, warmup=settings.warmup, tick=tick
        )


def _pace(
    detector: Detector, images: Sequence[Path], settings: ProfileSettings, bar: Bar
) -> Pace | None:
    fps, budget_ms, minutes = settings.fps, settings.budget_ms, settings.minutes
    if fps is None or budget_ms is None:
        return None
    with bar(f"{fps:g} images a second", frames_due(fps, minutes)) as tick:
        return keep_pace(detector, images, fps=fps, minutes=minutes, budget_ms=budget_ms, tick=tick)
