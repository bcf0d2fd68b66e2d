"""``edge-ad demo``: drawn parts, the whole way. Torch is imported when it runs."""

from __future__ import annotations

from pathlib import Path

import click

from edge_ad_runtime.commands.options import OVERWRITE


@click.command()
@click.option("--out", default="demo", show_default=True, type=click.Path(path_type=Path))
@OVERWRITE
def demo(out: Path, overwrite: bool) -> None:
    """Draw synthetic parts and take them the whole way.

    \b
    Example: edge-ad demo --out demo
    """
    from edge_ad_export.demo import run_demo

    run_demo(out, overwrite=overwrite, echo=click.echo)
