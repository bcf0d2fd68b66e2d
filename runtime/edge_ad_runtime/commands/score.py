"""``edge-ad score``: images, one line each."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edge_ad_runtime.commands.options import ARTIFACT, AS_JSON, ENGINE, THREADS, THRESHOLD
from edge_ad_runtime.errors import EdgeADError
from edge_ad_runtime.escaping import json_text, shown

if TYPE_CHECKING:
    from edge_ad_runtime.artifact.words import EngineChoice


@click.command()
@ARTIFACT
@click.argument("images", nargs=-1, required=True, type=click.Path(path_type=Path, readable=False))
@AS_JSON
@click.option("--maps", type=click.Path(path_type=Path), help="Write an overlay per image here.")
@click.option("--no-map", is_flag=True, help="Scores only: leave out what only maps need.")
@ENGINE
@THREADS
@THRESHOLD
def score(
    artifact: Path,
    images: tuple[Path, ...],
    as_json: bool,
    maps: Path | None,
    no_map: bool,
    engine: EngineChoice,
    threads: int | None,
    threshold: float | None,
) -> None:
    """Score images, one line each.

    A folder stands for the images in it. An image that cannot be read gets verdict "error", the
    others go on, and the exit code is 1; so it is if an overlay cannot be written ("map_error").

    \b
    Example: edge-ad score line3.edgead part.png --maps overlays
    """
    from edge_ad_runtime.commands.verdict import overlay_names, verdict_line
    from edge_ad_runtime.detector import Detector
    from edge_ad_runtime.images import expand_folders

    if no_map and maps is not None:
        raise click.UsageError("--no-map and --maps exclude one another")
    detector = Detector.load(artifact, engine=engine, threads=threads, threshold=threshold)
    paths = list(expand_folders(images))
    names = overlay_names(paths) if maps is not None else {}
    failed = without_map = 0
    for path in paths:
        overlay = None if maps is None else maps / names[path]
        line = verdict_line(detector, path, overlay=overlay, with_map=not no_map)
        failed += line["verdict"] == "error"
        without_map += "map_error" in line
        click.echo(json_text(line) if as_json else _score_text(line, overlay))
    if failed:
        raise EdgeADError(f"{failed} of {len(paths)} images could not be scored")
    if without_map:
        raise EdgeADError(f"{without_map} of {len(paths)} overlays could not be written")


def _score_text(line: dict[str, Any], overlay: Path | None) -> str:
    if line["verdict"] == "error":
        return f"{'error':<10} {shown(line['error'])}"
    without = shown(line["map_error"]) if "map_error" in line else ""
    if overlay is not None and line.get("mapped") is False:
        without = "the artifact maps anomalous images alone"
    return (
        f"{line['verdict']:<10} {line['score']:10.5g}  threshold {line['threshold']:.5g}  "
        f"{line['timings_ms']['total']:7.1f} ms  {shown(line['path'])}"
        + (f"  (no overlay: {without})" if without else "")
    )
