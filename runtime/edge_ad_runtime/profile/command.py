"""``edge-ad profile``: asks the questions in turn and prints what was found."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edge_ad_runtime.cli_options import ARTIFACT, AS_JSON, ENGINE_CHOICE, THREADS, write_text
from edge_ad_runtime.detector import Detector
from edge_ad_runtime.errors import EdgeADError
from edge_ad_runtime.images import expand_folders

if TYPE_CHECKING:
    from edge_ad_runtime.engines import EngineChoice
    from edge_ad_runtime.profile.latency import Latency
    from edge_ad_runtime.profile.pace import Pace
    from edge_ad_runtime.profile.report import ProfileReport
    from edge_ad_runtime.profile.sweep import SweepPoint

_COMPARED_STAGES = ("network", "search", "total")


@click.command()
@ARTIFACT
@AS_JSON
@click.option("--images", type=click.Path(path_type=Path), help="Folder or file to time instead.")
@click.option("--count", type=click.IntRange(min=1), default=200, show_default=True)
@click.option("--warmup", type=click.IntRange(min=0), default=10, show_default=True)
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
    from edge_ad_runtime.profile.latency import measure_latency
    from edge_ad_runtime.profile.machine_state import read_machine_state
    from edge_ad_runtime.profile.pace import frames_due, keep_pace
    from edge_ad_runtime.profile.report import ProfileReport
    from edge_ad_runtime.profile.sweep import sweep_threads, usable_cores
    from edge_ad_runtime.profile.throughput import BATCHES, measure_throughput

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
        with _bar("batches", len(BATCHES) * len(detectors)) as tick:
            latencies = [
                replace(
                    latency,
                    throughput=measure_throughput(detector, paths, count=count, tick=tick),
                )
                for detector, latency in zip(detectors, latencies, strict=True)
            ]
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
        _print(report)
    _check_budget(report, allow_misses)


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


def _print(report: ProfileReport) -> None:
    if len(report.latencies) == 1:
        _print_stages(report.latencies[0])
    else:
        _print_side_by_side(report)
    _print_throughput(report.latencies)
    for point in report.sweep:
        where = "unpinned" if point.cores is None else f"pinned to {_numbers(point.cores)}"
        click.echo(
            f"{point.threads} threads {where:<16} {point.p50_ms:>8.2f} p50 {point.p99_ms:>8.2f} p99"
        )
    if report.pace is not None:
        _print_pace(report.pace)
    for when, state in (("before", report.before), ("after", report.after)):
        if text := state.describe():
            click.echo(f"{when}: {text}")


def _print_stages(latency: Latency) -> None:
    click.echo(f"{'ms per image':<12} {'p50':>8} {'p95':>8} {'p99':>8} {'max':>8}")
    for name, stage in latency.stages.items():
        click.echo(
            f"{name:<12} {stage.p50_ms:>8.2f} {stage.p95_ms:>8.2f} {stage.p99_ms:>8.2f} "
            f"{stage.max_ms:>8.2f}"
        )
    click.echo(
        f"cold start {latency.cold_start_ms:.0f} ms, peak memory "
        f"{latency.peak_memory_bytes / 1e6:.0f} MB, {latency.images} images, "
        f"{_what(latency)}, {latency.machine['cpu']}"
    )


def _print_side_by_side(report: ProfileReport) -> None:
    """A column per artifact and engine, numbered; what the numbers stand for comes after."""
    latencies = report.latencies
    _print_row("ms per image", [str(i) for i in range(1, len(latencies) + 1)])
    for name in _COMPARED_STAGES:
        for percentile in ("p50", "p95", "p99"):
            found = [getattr(each.stages[name], f"{percentile}_ms") for each in latencies]
            _print_row(f"{name} {percentile}", [f"{ms:.2f}" for ms in found])
    _print_row("ratio of total", [f"{report.ratio(each):.2f}" for each in latencies])
    images = len(latencies[0].verdicts)
    same = [f"{report.same_verdicts(each)}/{images}" for each in latencies]
    _print_row("same verdict", same)
    _print_row("cold start", [f"{each.cold_start_ms:.0f}" for each in latencies])
    _print_row("peak MB", [f"{each.peak_memory_bytes / 1e6:.0f}" for each in latencies])
    for i, latency in enumerate(latencies, start=1):
        click.echo(f"{i}: {latency.artifact}, {_what(latency)}")
    click.echo(f"{latencies[0].images} images each, in alternation, {latencies[0].machine['cpu']}")


def _print_throughput(latencies: Sequence[Latency]) -> None:
    for rows in zip(*(latency.throughput for latency in latencies), strict=True):
        cells = [
            "refused" if row.images_per_second is None else f"{row.images_per_second:.1f}"
            for row in rows
        ]
        _print_row(f"batch of {rows[0].batch}", [*cells, "images/s"])
    refused = {row.error: None for latency in latencies for row in latency.throughput if row.error}
    for error in refused:
        click.echo(f"refused: {error}")


def _print_row(name: str, cells: Sequence[str]) -> None:
    click.echo(f"{name:<16}" + "".join(f" {cell:>9}" for cell in cells))


def _print_pace(pace: Pace) -> None:
    click.echo(
        f"{pace.fps:g} images a second for {pace.minutes:g} min: {pace.misses} of {pace.frames} "
        f"deadlines of {pace.budget_ms:g} ms missed, at most {pace.longest_run} in a row, "
        f"{pace.late} frames had to wait; {pace.latency.p50_ms:.1f} ms p50, "
        f"{pace.latency.p99_ms:.1f} ms p99"
    )


def _what(latency: Latency) -> str:
    threads = "all cores" if latency.threads is None else f"{latency.threads} threads"
    return (
        f"{latency.engine} {latency.engine_version} on {latency.device}, {latency.precision}, "
        f"{latency.search} search, {threads}"
    )


def _numbers(cores: Sequence[int]) -> str:
    return ", ".join(map(str, cores))
