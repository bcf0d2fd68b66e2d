"""``edge-ad watch``: images as they come into a folder, one JSON line each."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edge_ad_runtime.commands.options import ARTIFACT, ENGINE, THREADS
from edge_ad_runtime.commands.talk import tell
from edge_ad_runtime.escaping import json_text, shown

if TYPE_CHECKING:
    from edge_ad_runtime.artifact.words import EngineChoice


@click.command("watch")
@ARTIFACT
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--existing", is_flag=True, help="Also score the images that are there already.")
@click.option(
    "--every-ms",
    type=click.IntRange(min=1, max=60_000),
    default=200,
    show_default=True,
    help="Between two looks; an image is complete when it is the same in both.",
)
@click.option("--json-lines", type=click.Path(path_type=Path), help="Append the lines here too.")
@click.option("--maps", type=click.Path(path_type=Path), help="Write an overlay per image here.")
@ENGINE
@THREADS
def watch_folder(
    artifact: Path,
    folder: Path,
    existing: bool,
    every_ms: int,
    json_lines: Path | None,
    maps: Path | None,
    engine: EngineChoice,
    threads: int | None,
) -> None:
    """Score images as they come into a folder, one JSON line each.

    Goes on until SIGTERM or Ctrl-C, then finishes the image in hand and exits with 0. An image
    that cannot be read gets verdict "error"; a folder that is gone is waited for.

    \b
    Example: edge-ad watch line3.edgead /var/spool/camera --json-lines verdicts.jsonl
    """
    from edge_ad_runtime.commands.verdict import verdict_line
    from edge_ad_runtime.detector import Detector
    from edge_ad_runtime.images.watched_folder import WatchedFolder, stop_signals, watch
    from edge_ad_runtime.lines_file import LinesFile

    if maps is not None and maps.resolve() == folder.resolve():
        raise click.UsageError("--maps must be another folder than the one that is watched")
    with stop_signals() as stopped:
        watched = WatchedFolder(folder, existing=existing)
        lines_file = None if json_lines is None else LinesFile(json_lines)
        detector = Detector.load(artifact, engine=engine, threads=threads)
        click.echo(f"watching {shown(str(folder))}", err=True)
        for path in watch(watched, every_s=every_ms / 1e3, stopped=stopped, tell=tell):
            overlay = None if maps is None else maps / f"{path.name}.png"
            found = verdict_line(detector, path, overlay=overlay, with_map=overlay is not None)
            line = json_text({"time": _now(), **found})
            if lines_file is not None:
                lines_file.append(line)  # before the print, so that whatever is printed is kept
            click.echo(line)


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds")
