"""``edge-ad tune``: which search, on how many threads, is fastest here?"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from edge_ad_runtime.commands.options import ARTIFACT, AS_JSON
from edge_ad_runtime.escaping import json_text
from edge_ad_runtime.progress import ProgressBar


@click.command()
@ARTIFACT
@AS_JSON
def tune(artifact: Path, as_json: bool) -> None:
    """Find the fastest search and number of threads on this machine.

    Writes device.json into the artifact's folder and nothing else; scores and verdicts stay the
    same. Delete the file to go back to the artifact's own choice.

    \b
    Example: edge-ad tune line3.edgead
    """
    from edge_ad_runtime.artifact.folder import Artifact
    from edge_ad_runtime.profile import tune as tuning

    Artifact.open(artifact)  # a bad artifact is refused before there is a progress bar
    with ProgressBar[None](total=tuning.ROUNDS, desc="timing", unit="round") as bar:
        report = tuning.tune(artifact, tick=lambda: bar.update(1))
    if as_json:
        click.echo(json_text(asdict(report), indent=2))
        return
    for option in report.options:
        chosen = (option.search, option.threads) == (
            report.settings.search, report.settings.threads,
        )  # fmt: skip
        click.echo(
            f"{option.search:<9} search, {option.threads} threads {option.ms:8.1f} ms per image"
            + ("  <- written to device.json" if chosen else "")
        )
