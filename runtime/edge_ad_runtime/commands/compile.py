"""``edge-ad compile``: plans for this machine's GPU."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from edge_ad_runtime.commands.options import ARTIFACT, AS_JSON
from edge_ad_runtime.escaping import json_text


@click.command(name="compile")
@ARTIFACT
@AS_JSON
@click.option(
    "--max-batch",
    type=click.IntRange(min=1),
    default=16,
    show_default=True,
    help="The largest batch that the plan can take.",
)
@click.option(
    "--compute-capability",
    "capabilities",
    multiple=True,
    help="Compile for such GPUs, 8.9 for example, wherever they are (TensorRT-RTX); repeatable.",
)
@click.option(
    "--timing-cache",
    type=click.Path(path_type=Path),
    help="Keep TensorRT's measurements in this file: the next build is faster.",
)
def compile_(
    artifact: Path,
    as_json: bool,
    max_batch: int,
    capabilities: tuple[str, ...],
    timing_cache: Path | None,
) -> None:
    """Compile the network with TensorRT or TensorRT-RTX, for this machine's GPU.

    Writes plans into the artifact's folder engines, and nothing else. They are kept only if the
    reference images get the exported scores from them.

    \b
    Example: edge-ad compile line3.edgead
    """
    from edge_ad_runtime.proof.compiled import compile_plans, parse_capability

    report = compile_plans(
        artifact,
        capabilities=[parse_capability(text) for text in capabilities],
        max_batch=max_batch,
        timing_cache=timing_cache,
    )
    if as_json:
        click.echo(json_text(asdict(report), indent=2))
        return
    for name in report.plans:
        click.echo(f"engines/{name}")
    click.echo(
        "verified: they give the exported scores"
        if report.verified
        else "not verified: not run here; run edge-ad verify --engine tensorrt on the device"
    )
