"""``edge-ad verify``: does this machine give the exported scores?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from edge_ad_runtime.commands.options import ARTIFACT, AS_JSON, ENGINE, THREADS, write_text
from edge_ad_runtime.errors import EdgeADError
from edge_ad_runtime.escaping import json_text

if TYPE_CHECKING:
    from edge_ad_runtime.artifact.words import EngineChoice
    from edge_ad_runtime.proof.verify import VerifyReport


@click.command()
@ARTIFACT
@AS_JSON
@click.option("--junit", type=click.Path(path_type=Path), help="Also write JUnit XML here.")
@ENGINE
@THREADS
def verify(
    artifact: Path, as_json: bool, junit: Path | None, engine: EngineChoice, threads: int | None
) -> None:
    """Prove that this machine gives the exported scores.

    Hashes every file and replays the reference images; exit 0 only if every stage agrees.

    \b
    Example: edge-ad verify line3.edgead --junit verify.xml
    """
    from edge_ad_runtime.detector import Detector
    from edge_ad_runtime.proof import verify as verifying

    try:
        report = verifying.verify(Detector.load(artifact, engine=engine, threads=threads))
    except EdgeADError as exc:
        if as_json:
            click.echo(json_text({"ok": False, "error": str(exc)}))
        if junit is not None:
            write_text(junit, verifying.junit_refusal(str(exc)))
        raise
    if junit is not None:
        write_text(junit, report.to_junit())
    if as_json:
        click.echo(report.to_json())
    else:
        _print_verify(report)
    if (failure := report.first_failure) is not None:
        raise EdgeADError(
            f"{artifact}: not verified; first failing stage: {failure.stage} "
            f"({failure.worst_difference:.3g} on {failure.image}, tolerance {failure.tolerance:g})"
        )


def _print_verify(report: VerifyReport) -> None:
    from edge_ad_runtime.proof.verify import NO_VALUES

    click.echo(f"{'stage':<12} {'worst':>10} {'tolerance':>10}  on")
    for stage in report.stages:
        click.echo(
            f"{stage.stage:<12} {stage.worst_difference:>10.2g} {stage.tolerance:>10.2g}  "
            f"{stage.image:<24} {'ok' if stage.ok else 'FAIL'}"
        )
    for stage_name in report.not_checked:
        click.echo(f"{stage_name:<12} not checked: {NO_VALUES}")
    verdict = "verified" if report.ok else "NOT VERIFIED"
    search = "" if report.search == "none" else f", {report.search} search"
    click.echo(
        f"{verdict}: {report.images} reference images, {report.checked_bytes / 1e6:.1f} MB of "
        f"files, {report.engine} {report.engine_version} on {report.device}, "
        f"{report.precision}{search}"
    )
