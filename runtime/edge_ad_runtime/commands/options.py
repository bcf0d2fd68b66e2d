"""Arguments and options that several commands share, and how they write a file."""

from __future__ import annotations

from pathlib import Path

import click

from edge_ad_runtime.engines import ENGINES
from edge_ad_runtime.errors import ConfigError

ENGINE_CHOICE = click.Choice(["auto", *ENGINES])

ARTIFACT = click.argument("artifact", type=click.Path(path_type=Path))
AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
OVERWRITE = click.option("--overwrite", is_flag=True, help="Replace what is there.")
ENGINE = click.option(
    "--engine",
    type=ENGINE_CHOICE,
    default="auto",
    show_default=True,
    help="auto: the one that the artifact was exported for.",
)
THREADS = click.option(
    "--threads", type=click.IntRange(min=1), help="CPU threads.  [default: all cores]"
)


def write_text(path: Path, text: str) -> None:
    """Write a report, making its folder.

    Raises:
        ConfigError: it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as exc:
        raise ConfigError(f"{path}: cannot be written: {exc.strerror}") from exc
