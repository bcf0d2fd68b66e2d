"""Print what `edge-ad profile` has measured, for people."""

from __future__ import annotations

from collections.abc import Sequence

import click

from edge_ad_runtime.profile.latency import Latency
from edge_ad_runtime.profile.pace import Pace
from edge_ad_runtime.profile.report import ProfileReport

_COMPARED_STAGES = ("network", "search", "total")


def print_report(report: ProfileReport) -> None:
    """Print a table of the stages or of several artifacts, and what else was asked for."""
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
    """Print a numbered column per artifact and engine, and then what the numbers stand for."""
    latencies = report.latencies
    _print_row("ms per image", [str(i) for i in range(1, len(latencies) + 1)])
    for name in (s for s in _COMPARED_STAGES if all(s in each.stages for each in latencies)):
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
