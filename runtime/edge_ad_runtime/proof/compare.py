"""The regression test of an export: what it says of images, beside the one before.

Two artifacts seldom have scores of one unit: another fit has another feature space. So a score
counts in relation to its own threshold, and what matters first is the verdict.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from edge_ad_runtime.detector import Detector
from edge_ad_runtime.errors import ConfigError, EdgeADError
from edge_ad_runtime.images import RGBImage, read_image
from edge_ad_runtime.images.labels import ListedImage
from edge_ad_runtime.prediction import Prediction
from edge_ad_runtime.proof.auroc import image_auroc
from edge_ad_runtime.proof.comparison import ComparedImage, Comparison, Limits, Side, Unit
from edge_ad_runtime.proof.recorded import RecordedScore, RecordedScores
from edge_ad_runtime.provenance import provenance


class Flip(NamedTuple):
    """An image with two verdicts, to be drawn. Of recorded scores there is no old prediction."""

    path: Path
    image: RGBImage
    old: Prediction | None
    new: Prediction


def compare(
    old: Detector | RecordedScores,
    new: Detector,
    images: Sequence[ListedImage],
    limits: Limits,
    *,
    draw: Callable[[Flip], None] | None = None,
    tick: Callable[[], None] = lambda: None,
) -> Comparison:
    """Hold what the new artifact says of images against the old one, or against recorded scores.

    An image that one of the two cannot judge is an error, and never counts as agreement.

    Args:
        old: the artifact before, or scores that were recorded with one.
        new: the artifact in question.
        images: the images, at least one.
        limits: what is allowed.
        draw: is called with every flip. An EdgeADError of it is kept with the image.
        tick: is called after each image.

    Raises:
        ConfigError: recorded scores cannot be told apart by the images' paths, or scores have no
            relation to their threshold.
    """
    unit = _unit(old, new, limits)
    lines = old.match(image.path for image in images) if isinstance(old, RecordedScores) else {}
    compared = []
    for image in images:
        line = lines.get(image.path)
        compared.append(_compare_one(old, new, image, line, unit, draw))
        tick()
    flips = sum(image.flipped for image in compared)
    errors = sum(image.error is not None for image in compared)
    sizes = [image.size for image in compared if image.difference is not None]
    too_far = limits.max_difference is not None and max(sizes, default=0) > limits.max_difference
    auroc_old, auroc_new = _aurocs(compared)
    return Comparison(
        ok=not errors and flips <= limits.max_flips and not too_far,
        unit=unit,
        images=len(compared),
        errors=errors,
        flips=flips,
        worst_difference=max(sizes, default=None),
        max_flips=limits.max_flips,
        max_difference=limits.max_difference,
        auroc_old=auroc_old,
        auroc_new=auroc_new,
        not_given=_not_given(old, lines.values()),
        old=_origin(old),
        new=_origin(new),
        compared=tuple(sorted(compared, key=_order)),
    )


def _order(image: ComparedImage) -> tuple[bool, bool, float]:
    return not image.flipped, image.error is None, -image.size


def _unit(old: Detector | RecordedScores, new: Detector, limits: Limits) -> Unit | None:
    """The unit of relative scores. Recorded scores are taken for those of a head as the new one's.

    Raises:
        ConfigError: scores have no relation to their threshold, or none that can be compared is to
            be limited.
    """
    for detector in (old, new):
        if isinstance(detector, Detector):
            _check_relation(detector)
    in_decades = are_decades(new)
    if isinstance(old, RecordedScores):
        if not in_decades:
            _check_distances(old)
    elif are_decades(old) != in_decades:
        if limits.max_difference is not None:
            raise ConfigError(
                f"max_difference is {limits.max_difference:g}, but only one of the two artifacts "
                "has scores that are decades, so that verdicts alone can be compared; leave it out"
            )
        return None
    return "decades" if in_decades else "thresholds"


def are_decades(detector: Detector) -> bool:
    """Whether the scores are logarithms, see `edge_ad_runtime.heads.Head`."""
    return any(member.head.in_decades for member in detector.members)


def _check_relation(detector: Detector) -> None:
    if detector.manifest.calibration.threshold == 0 and not are_decades(detector):
        raise ConfigError(
            f"{detector.artifact.folder}: the threshold is 0, and no score has a relation to it; "
            "give it another with edge-ad threshold"
        )


def _check_distances(old: RecordedScores) -> None:
    for line in old.lines:
        if line.threshold <= 0 or (line.score is not None and line.score < 0):
            raise ConfigError(
                f"{old.file}: line {line.line} has a threshold of {line.threshold:g} and a score "
                f"of {line.score}, and scores of the new artifact are distances, from 0 upwards; "
                "the line is of an artifact of another kind, whose scores cannot be compared"
            )


def _compare_one(
    old: Detector | RecordedScores,
    new: Detector,
    image: ListedImage,
    line: RecordedScore | None,
    unit: Unit | None,
    draw: Callable[[Flip], None] | None,
) -> ComparedImage:
    path, label = str(image.path), image.label
    before: Prediction | None = None
    try:
        if isinstance(old, RecordedScores):
            old_side = _recorded(old, image.path, line, unit)
            pixels = read_image(image.path)
        else:
            pixels = read_image(image.path)
            before = old.predict(pixels, with_map=draw is not None)
            old_side = _side(before, in_decades=are_decades(old))
        after = new.predict(pixels, with_map=draw is not None)
    except EdgeADError as exc:
        return ComparedImage(path=path, label=label, error=_naming(path, exc))
    new_side = _side(after, in_decades=are_decades(new))
    flipped, picture_error = old_side.verdict != new_side.verdict, None
    if flipped and draw is not None:
        try:
            draw(Flip(image.path, pixels, before, after))
        except EdgeADError as exc:
            picture_error = str(exc)
    return ComparedImage(
        path=path,
        label=label,
        old=old_side,
        new=new_side,
        flipped=flipped,
        difference=None if unit is None else new_side.relative - old_side.relative,
        picture_error=picture_error,
    )


def _naming(path: str, error: EdgeADError) -> str:
    return str(error) if path in str(error) else f"{path}: {error}"


def _side(prediction: Prediction, *, in_decades: bool) -> Side:
    score, threshold = prediction.score, prediction.threshold
    return Side(
        score=score,
        threshold=threshold,
        verdict=prediction.verdict,
        relative=score - threshold if in_decades else score / threshold,
    )


def _recorded(
    old: RecordedScores, path: Path, line: RecordedScore | None, unit: Unit | None
) -> Side:
    if line is None:
        raise ConfigError(f"{path}: {old.file} has no line of it")
    if line.score is None or line.verdict is None:
        raise ConfigError(f"{path}: line {line.line} of {old.file} is of an error, not of a score")
    in_unit = line.score - line.threshold if unit == "decades" else line.score / line.threshold
    return Side(score=line.score, threshold=line.threshold, verdict=line.verdict, relative=in_unit)


def _aurocs(compared: Iterable[ComparedImage]) -> tuple[float | None, float | None]:
    """The image AUROC of both by relative score, if there are images of both labels."""
    good: list[tuple[float, float]] = []
    defective: list[tuple[float, float]] = []
    for image in compared:
        if image.label is not None and image.old is not None and image.new is not None:
            kind = good if image.label == "good" else defective
            kind.append((image.old.relative, image.new.relative))
    if not good or not defective:
        return None, None
    (good_old, good_new), (bad_old, bad_new) = zip(*good, strict=True), zip(*defective, strict=True)
    return image_auroc(good_old, bad_old), image_auroc(good_new, bad_new)


def _not_given(old: Detector | RecordedScores, matched: Iterable[RecordedScore | None]) -> int:
    if isinstance(old, Detector):
        return 0
    return len(old.lines) - len({line.line for line in matched if line is not None})


def _origin(source: Detector | RecordedScores) -> dict[str, Any]:
    if isinstance(source, RecordedScores):
        return {"recorded": source.file.name, "lines": len(source.lines)}
    return asdict(provenance(source))
