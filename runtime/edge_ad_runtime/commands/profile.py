"""``edge-ad profile``: how long an image takes, and whether that is in time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edge_ad_runtime.commands.options import (
    ARTIFACT,
    AS_JSON,
    ENGINE_CHOICE,
    THREADS,
    SettingsCommand,
    write_text,
)
from edge_ad_runtime.errors import EdgeADError
from edge_ad_runtime.profile.settings import ProfileSettings
from edge_ad_runtime.progress import ProgressBar

if TYPE_CHECKING:
    from edge_ad_runtime.artifact.words import EngineChoice
    from edge_ad_runtime.profile.report import ProfileReport


@click.command(
    cls=SettingsCommand, settings=ProfileSettings, group="Questions", groups=("Questions", "Pace")
)
@ARTIFACT
@AS_JSON
@click.option("--images", type=click.Path(path_type=Path), help="Folder or file to time instead.")
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
    compare: tuple[Path, ...],
    engines: tuple[EngineChoice, ...],
    svg: Path | None,
    trace: Path | None,
    threads: int | None,
    config: ProfileSettings,
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
    from edge_ad_runtime.images import expand_folders
    from edge_ad_runtime.profile.questions import ask
    from edge_ad_runtime.profile.text import print_report

    if config.fps is not None and config.budget_ms is None:
        raise click.UsageError("--fps needs --budget-ms: how late a verdict may be")
    with ExitStack() as opened:
        detectors = [
            opened.enter_context(Detector.load(path, engine=engine, threads=threads))
            for path in (artifact, *compare)
            for engine in engines
        ]
        first = detectors[0]
        paths = (
            [first.artifact.file(reference.file) for reference in first.manifest.reference]
            if images is None
            else list(expand_folders([images]))
        )
        report = ask(detectors, paths, config, bar=_bar)
    if svg is not None:
        write_text(svg, report.to_svg())
    if trace is not None:
        write_text(trace, report.to_trace())
    if as_json:
        click.echo(report.to_json())
    else:
        print_report(report)
    _check_budget(report, config.allow_misses)


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
    with ProgressBar[None](total=length, desc=label, unit="image") as bar:
        yield lambda: bar.update(1)
