"""``edge-ad score``: images, one line each."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator, Sequence
from io import StringIO
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click

from edge_ad_runtime.commands.options import ARTIFACT, AS_JSON, ENGINE, THREADS, THRESHOLD
from edge_ad_runtime.errors import EdgeADError
from edge_ad_runtime.escaping import json_text, shown

if TYPE_CHECKING:
    from edge_ad_runtime.artifact.words import EngineChoice

_STDIN = Path("-")
_COLUMNS = ("path", "verdict", "score", "threshold", "total_ms", "error")


@click.command()
@ARTIFACT
@click.argument("images", nargs=-1, type=click.Path(path_type=Path, readable=False))
@click.option(
    "--from",
    "listed",
    type=click.File(),
    help="Score the images that a file names, one a line; - is standard input.",
)
@click.option("--recursive", is_flag=True, help="Take the images of folders in folders too.")
@AS_JSON
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV instead of text.")
@click.option("--maps", type=click.Path(path_type=Path), help="Write an overlay per image here.")
@click.option(
    "--raw-maps",
    type=click.Path(path_type=Path),
    help="Write each map here as a .npy file, float32 of the network's input size.",
)
@click.option("--no-map", is_flag=True, help="Scores only: leave out what only maps need.")
@ENGINE
@THREADS
@THRESHOLD
def score(
    artifact: Path,
    images: tuple[Path, ...],
    listed: IO[str] | None,
    recursive: bool,
    as_json: bool,
    as_csv: bool,
    maps: Path | None,
    raw_maps: Path | None,
    no_map: bool,
    engine: EngineChoice,
    threads: int | None,
    threshold: float | None,
) -> None:
    """Score images, one line each.

    A folder stands for the images in it, and - for those that standard input names, one a line. An
    image that cannot be read gets verdict "error", the others go on, and the exit code is 1; so it
    is if a map cannot be written ("map_error").

    \b
    Example: edge-ad score line3.edgead part.png --maps overlays
    Example: find camera -name '*.png' | edge-ad score line3.edgead - --csv
    """
    from edge_ad_runtime.commands.verdict import overlay_names, verdict_line
    from edge_ad_runtime.detector import Detector
    from edge_ad_runtime.images import expand_folders

    if no_map and (maps is not None or raw_maps is not None):
        raise click.UsageError("--no-map and --maps or --raw-maps exclude one another")
    if as_json and as_csv:
        raise click.UsageError("--json and --csv exclude one another")
    if not images and listed is None:
        raise click.UsageError("give images, folders of images, or --from a list of them")
    detector = Detector.load(artifact, engine=engine, threads=threads, threshold=threshold)
    # lines are scored as they come, unless the pictures' names need all of them
    paths = expand_folders(_named(images, listed), recursive=recursive)
    names: dict[Path, Path] = {}
    if maps is not None or raw_maps is not None:
        every = list(paths)
        names, paths = overlay_names(every), iter(every)
    if as_csv:
        click.echo(_csv(_COLUMNS))
    count = failed = without_map = 0
    for path in paths:
        count += 1
        overlay = None if maps is None else maps / names[path]
        raw = None if raw_maps is None else raw_maps / names[path].with_suffix(".npy")
        line = verdict_line(detector, path, overlay=overlay, with_map=not no_map, raw_map=raw)
        failed += line["verdict"] == "error"
        without_map += "map_error" in line
        if as_csv:
            click.echo(_csv(_row(line)))
        else:
            click.echo(json_text(line) if as_json else _score_text(line, overlay))
    if failed:
        raise EdgeADError(f"{failed} of {count} images could not be scored")
    if without_map:
        raise EdgeADError(f"{without_map} of {count} {_maps(maps)} could not be written")
    if not count:
        raise EdgeADError("the list names no image")


def _named(images: Sequence[Path], listed: IO[str] | None) -> Iterator[Path]:
    """The paths that were typed, and those of lists, which are read line by line."""
    for path in images:
        if path == _STDIN:
            yield from _lines(sys.stdin)
        else:
            yield path
    if listed is not None:
        yield from _lines(listed)


def _lines(file: IO[str]) -> Iterator[Path]:
    for line in file:
        if name := line.rstrip("\r\n"):
            yield Path(name)


def _maps(maps: Path | None) -> str:
    return "raw maps" if maps is None else "overlays"


def _row(line: dict[str, Any]) -> list[Any]:
    """The values of `_COLUMNS`. What is not known is empty."""
    known = {**line, "total_ms": line["timings_ms"].get("total")}
    return ["" if known.get(name) is None else known[name] for name in _COLUMNS]


def _csv(values: Sequence[Any]) -> str:
    text = StringIO()
    csv.writer(text, lineterminator="").writerow(
        [shown(value) if isinstance(value, str) else value for value in values]
    )
    return text.getvalue()


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
