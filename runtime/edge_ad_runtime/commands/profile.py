"""``edge-ad profile``: asks the questions in turn."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edge_ad_runtime.commands.options import ARTIFACT, AS_JSON, ENGINE_CHOICE, THREADS, write_text
from edge_ad_runtime.errors import EdgeADError

if TYPE_CHECKING:
    from edge_ad_runtime.artifact.words import EngineChoice
    from edge_ad_runtime.detector import Detector
    from edge_ad_runtime.profile.latency import Latency
    from edge_ad_runtime.profile.report import ProfileReport
    from edge_ad_runtime.profile.sweep import SweepPoint


@click.command()
@ARTIFACT
@AS_JSON
@click.option("--images", type=click.Path(path_type=Path), help="Folder or file to time instead.")
@click.option(
    "--count",
    type=click.IntRange(min=1),
    default=200,
    show_default=True,
    help="How many images are timed; the files are used again and again.",
)
@click.option(
    "--warmup",
    type=click.IntRange(min=0),
    default=10,
    show_default=True,
    help="How many are scored before, untimed.",
)
@click.option(
    "--compare",
    type=click.Path(path_type=Path),
    multiple=True,
    help="Another artifact, timed in alternation; may be repeated.",
)
@click.option(
    "--engine",
    "engines",
    type=ENGINE_CHOICE,
    multiple=True,
    default=("auto",),
    help="May be repeated: every artifact on every engine.  "
    "[default: the one that the artifact was exported for]",
)
@click.option("--batches", is_flag=True, help="Also the images per second in batches of 1 to 16.")
@click.option("--sweep", is_flag=True, help="Also 1 to all cores, unpinned and pinned.")
@click.option("--budget-ms", type=float, help="Exit 1 if the p99 of the total is above this.")
@click.option(
    "--fps",
    type=click.FloatRange(min=0, min_open=True),
    help="Also score at this rate: the budget is then each image's deadline, and the exit code "
    "that of the misses.",
)
@click.option(
    "--minutes",
    type=click.FloatRange(min=0, min_open=True),
    default=2.0,
    show_default=True,
    help="How long, with --fps.",
)
@click.option(
    "--allow-misses",
    type=click.FloatRange(min=0, max=1),
    default=0.0,
    show_default=True,
    help="Fraction of deadlines that may be missed, with --fps.",
)
@click.option("--svg", type=click.Path(path_type=Path), help="Draw the latency here.")
@click.option(
    "--trace",
    type=click.Path(path_type=Path),
    help="Write a trace here, for ui.perfetto.dev or chrome://tracing.",
)
@THREADS
def profile(
    artifact: Path,
    as_json: bool,
    images: Path | None,
    count: int,
    warmup: int,
    compare: tuple[Path, ...],
    engines: tuple[EngineChoice, ...],
    batches: bool,
    sweep: bool,
    budget_ms: float | None,
    fps: float | None,
    minutes: float,
    allow_misses: float,
    svg: Path | None,
    trace: Path | None,
    threads: int | None,
) -> None:
    """Time every stage per image, cold start, and memory.

    With --compare or several --engine, the table is side by side. Sweep, budget and frame rate
    are of the ARTIFACT on the first engine.

    \b
    Example: edge-ad profile line3.edgead --budget-ms 50 --svg latency.svg
    Example: edge-ad profile line3.edgead --fps 10 --minutes 5 --budget-ms 80
    Example: edge-ad profile fp32.edgead --compare int8.edgead --batches
    """
    from edge_ad_runtime.detector import Detector
    from edge_ad_runtime.device.machine_state import read_machine_state
    from edge_ad_runtime.images import expand_folders
    from edge_ad_runtime.profile.latency import measure_latency
    from edge_ad_runtime.profile.pace import frames_due, keep_pace
    from edge_ad_runtime.profile.report import ProfileReport
    from edge_ad_runtime.profile.sweep import sweep_threads, usable_cores
    from edge_ad_runtime.profile.text import print_report

    if fps is not None and budget_ms is None:
        raise click.UsageError("--fps needs --budget-ms: how late a verdict may be")
    detectors = [
        Detector.load(path, engine=engine, threads=threads)
        for path in (artifact, *compare)
        for engine in engines
    ]
    first = detectors[0]
    paths = (
        [first.artifact.file(reference.file) for reference in first.manifest.reference]
        if images is None
        else list(expand_folders([images]))
    )
    before = read_machine_state()
    with _bar("timing", count) as tick:
        latencies = measure_latency(detectors, paths, count=count, warmup=warmup, tick=tick)
    if batches:
        latencies = _with_throughput(latencies, detectors, paths, count)
    points: tuple[SweepPoint, ...] = ()
    if sweep:
        with _bar("threads", 2 * len(usable_cores())) as tick:
            points = sweep_threads(first, paths, count=count, warmup=warmup, tick=tick)
    pace = None
    if fps is not None and budget_ms is not None:
        with _bar(f"{fps:g} images a second", frames_due(fps, minutes)) as tick:
            pace = keep_pace(first, paths, fps=fps, minutes=minutes, budget_ms=budget_ms, tick=tick)
    report = ProfileReport(
        latencies=tuple(latencies),
        budget_ms=budget_ms,
        sweep=points,
        pace=pace,
        before=before,
        after=read_machine_state(),
    )
    if svg is not None:
        write_text(svg, report.to_svg())
    if trace is not None:
        write_text(trace, report.to_trace())
    if as_json:
        click.echo(report.to_json())
    else:
        print_report(report)
    _check_budget(report, allow_misses)


def _with_throughput(
    latencies: Iterable[Latency], detectors: Sequence[Detector], paths: Sequence[Path], count: int
) -> list[Latency]:
    """The same, with the images per second in batches."""
    from edge_ad_runtime.profile.throughput import BATCHES, measure_throughput

    with _bar("batches", len(BATCHES) * len(detectors)) as tick:
        return [
            replace(latency, throughput=measure_throughput(detector, paths, count=count, tick=tick))
            for detector, latency in zip(detectors, latencies, strict=True)
        ]


def _check_budget(report: ProfileReport, allow_misses: float) -> None:
    pace = report.pace
    if pace is not None and pace.miss_fraction > allow_misses:
        raise EdgeADError(
            f"{pace.misses} of {pace.frames} deadlines of {pace.budget_ms:g} ms missed "
            f"({pace.miss_fraction:.3%}, allowed {allow_misses:.3%})"
        )
    if pace is None and report.within_budget is False:
        p99_ms = report.latencies[0].stages["total"].p99_ms
        raise EdgeADError(f"p99 is {p99_ms:.1f} ms, over the budget of {report.budget_ms:g} ms")


@contextmanager
def _bar(label: str, length: int) -> Iterator[Callable[[], None]]:
    with click.progressbar(length=length, label=label, file=sys.stderr) as bar:
        yield lambda: bar.update(1)
