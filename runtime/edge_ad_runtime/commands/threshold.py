"""``edge-ad threshold``: another threshold for an artifact, or which ones its scores support."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edge_ad_runtime.commands.options import ARTIFACT, AS_JSON, ENGINE, THREADS
from edge_ad_runtime.commands.talk import tell
from edge_ad_runtime.errors import ConfigError
from edge_ad_runtime.escaping import json_text, shown

if TYPE_CHECKING:
    from edge_ad_runtime.artifact.calibration_records import Calibration
    from edge_ad_runtime.artifact.schema import Manifest
    from edge_ad_runtime.artifact.words import EngineChoice


@click.command()
@ARTIFACT
@click.option(
    "--false-reject-rate",
    type=float,
    metavar="RATE",
    help="The share of good parts that may be rejected, such as 0.01.",
)
@click.option("--set", "given", type=float, metavar="SCORE", help="A threshold of your own.")
@click.option(
    "--false-alarms",
    type=float,
    metavar="NUMBER",
    help="U-Flow alone: the false alarms that may be expected in an image.",
)
@click.option("--out", type=click.Path(path_type=Path), help="The new artifact, OTHER.edgead.")
@click.option("--overwrite", is_flag=True, help="Replace what is there.")
@AS_JSON
@ENGINE
@THREADS
def threshold(
    artifact: Path,
    false_reject_rate: float | None,
    given: float | None,
    false_alarms: float | None,
    out: Path | None,
    overwrite: bool,
    as_json: bool,
    engine: EngineChoice,
    threads: int | None,
) -> None:
    """Make an artifact with another threshold, or say which its scores support.

    The new artifact is a copy whose threshold and verdicts of the reference images are new. It is
    verified on this machine before it gets its name. The old one stays as it is.

    \b
    Example: edge-ad threshold line3.edgead
    Example: edge-ad threshold line3.edgead --false-reject-rate 0.1 --out line3-strict.edgead
    """
    from edge_ad_runtime.artifact.folder import Artifact

    values = {
        "--false-reject-rate": false_reject_rate,
        "--set": given,
        "--false-alarms": false_alarms,
    }
    typed = [name for name, value in values.items() if value is not None]
    if len(typed) > 1:
        raise click.UsageError(f"{' and '.join(typed)} exclude one another")
    if bool(typed) != (out is not None):
        raise click.UsageError(
            f"{typed[0]} needs --out: the old artifact stays as it is"
            if typed
            else f"--out needs a threshold: one of {', '.join(values)}"
        )
    opened = Artifact.open(artifact)
    if out is None:
        _print_table(opened.manifest, as_json=as_json)
        return
    from edge_ad_runtime.device.settings import FILE_NAME
    from edge_ad_runtime.proof.new_threshold import write_with_threshold

    moved = _moved(opened.manifest, false_reject_rate, given, false_alarms)
    report = write_with_threshold(
        opened, moved, out, engine=engine, threads=threads, overwrite=overwrite
    )
    if (opened.folder / FILE_NAME).exists():
        tell(f"what edge-ad tune has found stays with {artifact}; tune {out} too")
    if as_json:
        click.echo(
            json_text({**_record(moved), "out": str(out), "verification": asdict(report)}, 2)
        )
        return
    for line in _summary(moved):
        click.echo(line)
    click.echo(f"verified: {report.images} reference images; {shown(str(out))} is in place")


def _moved(
    manifest: Manifest, rate: float | None, given: float | None, false_alarms: float | None
) -> Calibration:
    """The new calibration.

    Raises:
        ConfigError: the artifact cannot have such a threshold.
    """
    from edge_ad_runtime.decision import calibration as decision
    from edge_ad_runtime.decision.threshold import check_threshold

    before, sha256 = manifest.calibration, manifest.sha256
    in_decades = any(member.head.kind == "a-contrario" for member in manifest.members)
    if rate is not None:
        return decision.moved_to_rate(before, rate, sha256)
    if given is not None:
        check_threshold(given, in_decades=in_decades, name="set")
        return decision.moved_to_threshold(before, given, sha256)
    assert false_alarms is not None, "one of the three"
    if not in_decades:
        kinds = ", ".join(sorted({member.head.kind for member in manifest.members}))
        raise ConfigError(
            f"false_alarms is {false_alarms:g}, and this artifact's scores count none (its head is "
            f"{kinds}, only a-contrario counts them); give --false-reject-rate or --set"
        )
    if not 1e-12 <= false_alarms <= 1e12:
        raise ConfigError(f"false_alarms is {false_alarms:g}; it must be from 1e-12 to 1e12")
    return decision.moved_to_false_alarms(before, false_alarms, sha256)


def _record(calibration: Calibration) -> dict[str, Any]:
    from edge_ad_runtime.decision.calibration import rate_table, why_no_rates

    return {
        "calibration": asdict(calibration),
        "rates": [asdict(row) for row in rate_table(calibration)],
        "why_no_rates": why_no_rates(calibration) or None,
    }


def _print_table(manifest: Manifest, *, as_json: bool) -> None:
    from edge_ad_runtime.decision.calibration import rate_table, supported, why_no_rates

    calibration = manifest.calibration
    if as_json:
        click.echo(json_text(_record(calibration), 2))
        return
    for line in _summary(calibration):
        click.echo(line)
    if why := why_no_rates(calibration):
        click.echo(f"no table of rates: {why}; --set works")
        return
    click.echo(f"{supported(calibration.images)}\n")
    click.echo(f"{'rate':>6} {'threshold':>12}  good parts rejected (90% interval)")
    for row in rate_table(calibration):
        asked = f"{row.false_reject_rate * 100:>5.4g}%"
        if row.threshold is None or row.expected_rate is None or row.interval is None:
            click.echo(f"{asked} {'-':>12}  needs {row.images_needed} scores of good images")
            continue
        low, high = row.interval
        click.echo(
            f"{asked} {row.threshold:>12.6g}  {_how(calibration)} {row.expected_rate:.2%} "
            f"({low:.2%} to {high:.2%})"
        )


def _summary(calibration: Calibration) -> Iterator[str]:
    from edge_ad_runtime.commands.info import describe_false_rejects, describe_threshold
    from edge_ad_runtime.decision.calibration import promise

    yield f"threshold      {describe_threshold(calibration)}"
    yield f"false rejects  {describe_false_rejects(calibration)}"
    if known := promise(calibration):
        yield f"promise        {known}"


def _how(calibration: Calibration) -> str:
    from edge_ad_runtime.decision.calibration import scores_from

    return "about" if scores_from(calibration) == "leave-one-out" else "at most"
