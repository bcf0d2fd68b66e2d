"""``edge-ad line-demo``: drawn parts on a line. Torch is imported when it runs."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("line-demo")
@click.option("--out", default="demo-line", show_default=True, type=click.Path(path_type=Path))
@click.option("--port", default=8080, show_default=True, type=click.IntRange(1, 65535))
@click.option(
    "--every-ms", default=1500, show_default=True, type=click.IntRange(50, 60_000),
    help="Between two parts.",
)  # fmt: skip
def line_demo(out: Path, port: int, every_ms: int) -> None:
    """Draw parts on a line, and show in a browser what is made of them.

    Goes on until Ctrl-C. The artifact is made the first time, and taken from there afterwards.

    \b
    Example: edge-ad line-demo --port 8080
    """
    from edge_ad_export.line_demo import LineDemoConfig, run_line_demo

    run_line_demo(out, LineDemoConfig(port=port, every_ms=every_ms), echo=click.echo)
