"""``edge-ad compare``: does a new artifact say what the old one said?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edge_ad_runtime.commands.options import AS_JSON, ENGINE, THREADS, write_text
from edge_ad_runtime.errors import ConfigError, EdgeADError
from edge_ad_runtime.escaping import shown
from edge_ad_runtime.progress import ProgressBar

if TYPE_CHECKING:
    from edge_ad_runtime.artifact.words import EngineChoice
    from edge_ad_runtime.detector import Detector
    from edge_ad_runtime.proof.compare import Flip
    from edge_ad_runtime.proof.comparison import ComparedImage, Comparison
    from edge_ad_runtime.proof.recorded import RecordedScores

_MOST_ROWS = 10  # of images that are neither flips nor errors


@click.command()
@click.argument("old", type=click.Path(path_type=Path))
@click.argument("new", type=click.Path(path_type=Path))
@click.argument("images", nargs=-1, required=True, type=click.Path(path_type=Path, readable=False))
@AS_JSON
@click.option("--junit", type=click.Path(path_type=Path), help="Also write JUnit XML here.")
@click.option(
    "--max-flips",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="How many verdicts may differ.",
)
@click.option(
    "--max-difference",
    type=click.FloatRange(min=0),
    help="How far a score may move, in thresholds: 0.1 is a tenth of the threshold (of U-Flow "
    "decades).  [default: any, as long as no verdict differs]",
)
@click.option(
    "--pictures", type=click.Path(path_type=Path), help="Write both maps of each flip here."
)
@ENGINE
@THREADS
def compare(
    old: Path,
    new: Path,
    images: tuple[Path, ...],
    as_json: bool,
    junit: Path | None,
    max_flips: int,
    max_difference: float | None,
    pictures: Path | None,
    engine: EngineChoice,
    threads: int | None,
) -> None:
    """Hold an artifact's verdicts against those of the one before.

    OLD is an artifact, or a file of lines that edge-ad score --json printed once. Scores count in
    relation to their own thresholds. Images whose verdicts differ are listed first. The exit code
    is 1 if more differs than is allowed, or if an image cannot be compared.

    A folder stands for the images in it. One with a folder "good" and others, or in MVTec AD's
    layout, labels them, and adds the image AUROC of both.

    \b
    Example: edge-ad compare line3.edgead line3-new.edgead test_parts --pictures flips
    Example: edge-ad compare scores-of-last-year.jsonl line3.edgead kept_parts --max-flips 2
    """
    from contextlib import ExitStack

    from edge_ad_runtime.detector import Detector
    from edge_ad_runtime.images.labels import list_labelled
    from edge_ad_runtime.proof.compare import compare as compare_images
    from edge_ad_runtime.proof.comparison import Limits

    with ExitStack() as opened:
        before = _open_old(old, engine, threads)
        if isinstance(before, Detector):
            opened.enter_context(before)
        after = opened.enter_context(Detector.load(new, engine=engine, threads=threads))
        listed = list(list_labelled(images))
        paths = [image.path for image in listed]
        with ProgressBar[None](total=len(paths), desc="comparing", unit="image") as bar:
            comparison = compare_images(
                before,
                after,
                listed,
                Limits(max_flips=max_flips, max_difference=max_difference),
                draw=None if pictures is None else _drawer(before, after, paths, pictures),
                tick=lambda: bar.update(1),
            )
    if junit is not None:
        write_text(junit, comparison.to_junit())
    if as_json:
        click.echo(comparison.to_json())
    else:
        _print(comparison)
    _check(comparison, new)


def _open_old(path: Path, engine: EngineChoice, threads: int | None) -> Detector | RecordedScores:
    from edge_ad_runtime.detector import Detector
    from edge_ad_runtime.proof.recorded import RecordedScores

    if path.is_dir() or not path.exists():
        return Detector.load(path, engine=engine, threads=threads)
    return RecordedScores.read(path)


def _drawer(
    old: Detector | RecordedScores, new: Detector, paths: Sequence[Path], folder: Path
) -> Callable[[Flip], None]:
    """A function that writes the picture of a flip into the folder."""
    from edge_ad_runtime.commands.verdict import overlay_names
    from edge_ad_runtime.detector import Detector
    from edge_ad_runtime.images import write_png
    from edge_ad_runtime.pictures.overlay import draw_side_by_side

    names = overlay_names(paths)

    def draw(flip: Flip) -> None:
        both = [("new", flip.new, new.manifest.preprocessing)]
        if flip.old is not None and isinstance(old, Detector):
            both.insert(0, ("old", flip.old, old.manifest.preprocessing))
        write_png(folder / names[flip.path], draw_side_by_side(flip.image, both))

    return draw


def _print(comparison: Comparison) -> None:
    rest = 0
    for image in comparison.compared:
        rest += not image.flipped and image.error is None
        if rest <= _MOST_ROWS:
            click.echo(_row(image, comparison))
    if rest > _MOST_ROWS:
        click.echo(f"... and {rest - _MOST_ROWS} that differ no more than these")
    click.echo(_summary(comparison))


def _row(image: ComparedImage, comparison: Comparison) -> str:
    if image.old is None or image.new is None:
        return f"{'error':<24} {shown(image.error or '')}"
    old, new = image.old, image.new
    verdicts = f"{old.verdict} -> {new.verdict}" if image.flipped else new.verdict
    moved = f"{old.relative:8.4f} -> {new.relative:8.4f}"
    by = "" if image.difference is None else f"  {image.difference:+8.4f}"
    label = f"  ({shown(image.label)})" if image.label is not None else ""
    why = f"  (no picture: {shown(image.picture_error)})" if image.picture_error else ""
    return f"{verdicts:<24} {moved}{by}  {shown(image.path)}{label}{why}"


def _summary(comparison: Comparison) -> str:
    lines = [
        f"{comparison.images} images, verdicts that differ: {comparison.flips} "
        f"({comparison.max_flips} allowed), errors: {comparison.errors}"
    ]
    if comparison.worst_difference is not None:
        limit = comparison.max_difference
        allowed = "any" if limit is None else f"{limit:g}"
        lines.append(
            f"largest difference {comparison.worst_difference:.3g} {comparison.unit} "
            f"({allowed} allowed)"
        )
    if comparison.unit is None:
        lines.append("only one of the two has scores that are decades: verdicts alone are compared")
    if comparison.auroc_old is not None and comparison.auroc_new is not None:
        lines.append(f"image AUROC {comparison.auroc_old:.4f} -> {comparison.auroc_new:.4f}")
    else:
        lines.append("no image AUROC: the images do not have both labels, good and defective")
    if comparison.not_given:
        lines.append(f"{comparison.not_given} recorded images were not given, and not compared")
    return "\n".join(lines)


def _check(comparison: Comparison, new: Path) -> None:
    """Say what is past what is allowed.

    Raises:
        EdgeADError: something is.
    """
    reasons = []
    if comparison.errors:
        reasons.append(f"{comparison.errors} of {comparison.images} images could not be compared")
    if comparison.flips > comparison.max_flips:
        reasons.append(f"{comparison.flips} verdicts differ, {comparison.max_flips} are allowed")
    too_far = [image for image in comparison.compared if comparison.is_too_far(image)]
    if too_far:
        reasons.append(
            f"{len(too_far)} scores moved by more than the {comparison.max_difference:g} "
            f"{comparison.unit} that are allowed, the farthest {comparison.worst_difference:.3g}"
        )
    without = sum(image.picture_error is not None for image in comparison.compared)
    if reasons:
        raise EdgeADError(f"{new}: {'; '.join(reasons)}")
    if without:
        raise ConfigError(f"{without} pictures could not be written")
