"""``edge-ad pack``: an artifact as one file."""

from __future__ import annotations

from pathlib import Path

import click

from edge_ad_runtime.commands.options import ARTIFACT


@click.command()
@ARTIFACT
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="The archive to write.  [default: the artifact's name and .zip]",
)
@click.option("--overwrite", is_flag=True, help="Replace the file that is there.")
def pack(artifact: Path, out: Path | None, overwrite: bool) -> None:
    """Write an artifact as one file, for every command to take.

    It stands in the folder's place. Half a copy of it is an error everywhere. The device
    unpacks it once, into a cache.

    \b
    Example: edge-ad pack line3.edgead --out line3.edgead.zip
    """
    from edge_ad_runtime.artifact import packed

    out = artifact.with_name(artifact.name + packed.SUFFIX) if out is None else out
    packed.pack(artifact, out, overwrite=overwrite)
    click.echo(f"{out}  {out.stat().st_size / 1e6:.1f} MB", err=True)
