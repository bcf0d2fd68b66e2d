"""`fit`: learn from good images, and set the threshold with those that were left out."""

from __future__ import annotations

import hashlib
import math
import warnings
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from torch import nn

import edge_ad
from edge_ad.features.isolation import IsolatedPatch, rows_kept
from edge_ad.fitting.calibrate import (
    a_contrario_threshold,
    check_rate,
    learned_threshold,
)
from edge_ad.fitting.fitted import (
    SCHEMA,
    FitImage,
    FitRecord,
    FittedDetector,
    scores_of_parts,
)
from edge_ad.images.good import GoodImages, list_images, load_preprocessed
from edge_ad.images.same_part import parts_of
from edge_ad.methods import Gathered, Method, load_method
from edge_ad.methods.judge import Judge
from edge_ad.methods.settings import AContrarioSettings, FitSettings
from edge_ad.networks.run import Run, TorchRun
from edge_ad_runtime.artifact.calibration_records import Calibration, LearnedFrom
from edge_ad_runtime.artifact.head_records import Certificate
from edge_ad_runtime.errors import ConfigError, EdgeADWarning, FitError
from edge_ad_runtime.images import read_image
from edge_ad_runtime.progress import ProgressBar

KEPT_PREPROCESSED = 32
KEPT_ORIGINALS = 3

Image = TypeVar("Image")
"""A path, or a name."""


def fit(
    images: Path | str | Iterable[Path | str], config: FitSettings, *, progress: bool = False
) -> FittedDetector:
    """Learn what good looks like, by the method that the settings are of.

    With the calibration ``split`` a share of the images, drawn by ``config.seed``, is held out and
    sets the threshold. With ``leave-one-out`` each image counts twice. With ``a-contrario`` the
    held-out share says what the method's own threshold makes of good images.

    Args:
        images: a folder of good images, or their paths. At least 2 are needed, or 1 if none is held
            out. A method may need more.
        config: the settings of a method, such as `PatchCoreConfig`.
        progress: show bars on stderr.

    Raises:
        FitError: there are too few images, or weights or features are not finite.
        ImageError: an image cannot be read. The error names it, and fitting stops.
        ConfigError: the settings cannot work with so many images.
    """
    method, config = load_method(config.method), config.resolved()
    paths, by_all = draw(list_images(images), config), _is_leave_one_out(config)
    most_scores = len(paths) if by_all else _number_held_out(len(paths), config)
    check_scores(most_scores, config)  # before any work
    every = GoodImages(paths, config.preprocessing)
    digests = [_sha256(path) for path in paths]
    every.parts = parts_of(every.thumbnails(progress=progress), digests)
    _warn_of_same_parts(every, digests)
    learned_rows, held_out_rows = split(every.parts, config)
    left_out = every.parts[learned_rows if by_all else held_out_rows]
    check_scores(len(np.unique(left_out)), config)
    good = every.only(learned_rows)
    held_out = [paths[row] for row in held_out_rows]
    network = method.train(good, config, progress=progress)
    learned = _learn(method, network, TorchRun(network), good, held_out, config, progress=progress)
    are_held_out = set(held_out_rows)
    fit_images = tuple(
        FitImage(
            path=str(path),
            sha256=digest,
            held_out=row in are_held_out,
            left_out_score=learned.scores.get(path),
            same_part_as=None if part == row else str(paths[part]),
        )
        for row, (path, digest, part) in enumerate(
            zip(paths, digests, every.parts.tolist(), strict=True)
        )
    )
    record = FitRecord(
        schema=SCHEMA,
        method=config.method,
        calibration=calibration_of(fit_images, config),
        images=fit_images,
        isolated=learned.isolated,
        versions=versions(),
        certificate=learned.certificate,
    )
    shown = (held_out or good.paths)[:KEPT_PREPROCESSED]
    return FittedDetector(
        config=config,
        record=record,
        state=network.state_dict(),
        kept=learned.kept,
        held_out=np.stack([load_preprocessed(path, config.preprocessing) for path in shown]),
        originals=tuple(read_image(path) for path in shown[:KEPT_ORIGINALS]),
    )


def fit_again(fitted: FittedDetector, run: Run, *, progress: bool = False) -> FittedDetector:
    """Learn from the same images through another network, and set the threshold anew.

    Args:
        fitted: what was learned from the images.
        run: the other network, such as a quantised one. Its outputs have the same shapes.
        progress: show bars on stderr.

    Raises:
        FitError: an image is not there any more, or its file has changed.
    """
    record, config = fitted.record, fitted.config
    for image in record.images:
        path = Path(image.path)
        if not path.is_file() or _sha256(path) != image.sha256:
            raise FitError(
                f"{path}: {'changed since the fit' if path.is_file() else 'not found'}; "
                "a reduced network learns from the images of the fit, so export where they are"
            )
    held_out = [Path(i.path) for i in record.images if i.held_out]
    others = [Path(i.path) for i in record.images if not i.held_out]
    learned_from = [others[i] for i in rows_kept(record.isolated, others)]
    of_path = {image.path: image.part for image in record.images}
    _, parts = np.unique([of_path[str(path)] for path in learned_from], return_inverse=True)
    good = GoodImages(learned_from, config.preprocessing, screened=True, parts=parts)
    method, network = load_method(record.method), fitted.network()
    learned = _learn(method, network, run, good, held_out, config, progress=progress)
    images = tuple(
        replace(image, left_out_score=learned.scores.get(Path(image.path)))
        for image in record.images
    )
    calibration = calibration_of(images, config)
    certificate = learned.certificate
    record = replace(record, images=images, calibration=calibration, certificate=certificate)
    return replace(fitted, kept=learned.kept, record=record)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Learned:
    """What good images have left behind, and the scores of those that were left out."""

    kept: Any
    isolated: tuple[IsolatedPatch, ...]
    scores: dict[Path, float]
    certificate: Certificate | None


def _learn(
    method: Method,
    network: nn.Module,
    run: Run,
    good: GoodImages,
    held_out: list[Path],
    config: FitSettings,
    *,
    progress: bool,
) -> _Learned:
    """Gather, then score the held-out images with the device's own head, if there are any."""
    gathered = method.gather(run, good, config, progress=progress)
    if gathered.left_out is not None:
        pairs = zip(good.paths, gathered.left_out.tolist(), strict=True)
        scores = {path: score for path, score in pairs if not math.isnan(score)}
        return _learned(gathered, scores)
    judge = Judge(run, method.lower(network, gathered.kept, config), config.size)
    bar = ProgressBar(held_out, desc="threshold", unit="image", disable=not progress)
    found = judge.scores(load_preprocessed(path, config.preprocessing) for path in bar)
    return _learned(gathered, dict(zip(held_out, found, strict=True)))


def _learned(gathered: Gathered, scores: dict[Path, float]) -> _Learned:
    return _Learned(
        kept=gathered.kept,
        isolated=gathered.isolated,
        scores=scores,
        certificate=gathered.certificate,
    )


def draw(paths: list[Image], config: FitSettings) -> list[Image]:
    """The images that are used: all, or as many as are wanted, drawn by the seed.

    Raises:
        ConfigError: more are wanted than there are.
        FitError: there are too few.
    """
    count = len(paths) if config.shots is None else config.shots
    if count > len(paths):
        raise ConfigError(f"shots is {count}; there are only {len(paths)} good images")
    if count < 1 + (config.resolved_holdout_fraction > 0):
        raise FitError(
            f"{count} good images; at least 2 are needed, one to learn from and one to set the "
            "threshold, and 50 or more are wise (with --holdout-fraction 0 one is enough, and the "
            "export must be given a --threshold)"
        )
    rows = np.random.default_rng(config.seed).permutation(len(paths))[:count]
    return [paths[row] for row in sorted(rows)]


def _number_held_out(images: int, config: FitSettings) -> int:
    share = config.resolved_holdout_fraction
    return min(max(round(images * share), 1), images - 1) if share else 0


def split(parts: NDArray[np.int64], config: FitSettings) -> tuple[list[int], list[int]]:
    """Draw by the seed the images to learn from and those to hold out.

    Images of one part are on the same side, where the first of them that is drawn comes to be.

    Args:
        parts: ``(N,)``, the part that each image shows.
        config: what share is held out.

    Raises:
        FitError: all images show one part.
    """
    wanted = _number_held_out(len(parts), config)
    order = np.random.default_rng(config.seed).permutation(len(parts)).tolist()
    held_out: list[int] = []
    for part in dict.fromkeys(parts[order].tolist()):
        of_part = [row for row in order if parts[row] == part]
        if len(held_out) < wanted and len(held_out) + len(of_part) < len(parts):
            held_out += of_part
    if wanted and not held_out:
        raise FitError(
            f"all {len(parts)} good images show the same part; others are needed to set the "
            "threshold (or --holdout-fraction 0, and a --threshold for the export)"
        )
    return sorted(set(range(len(parts))) - set(held_out)), held_out


def check_scores(number: int, config: FitSettings) -> None:
    """Refuse a rate that so many scores cannot support. Without any there is no threshold.

    Raises:
        ConfigError: see `check_rate`.
    """
    if number:
        check_rate(config.false_reject_rate, number)


def _is_leave_one_out(config: FitSettings) -> bool:
    return config.resolved_calibration == "leave-one-out"


def _warn_of_same_parts(images: GoodImages, digests: list[str]) -> None:
    repeated = np.flatnonzero(images.parts != np.arange(len(images)))
    if len(repeated) == 0:
        return
    row = int(repeated[0])
    first = int(images.parts[row])
    how = "is a copy of" if digests[row] == digests[first] else "shows the same part as"
    warnings.warn(
        f"{len(repeated)} of {len(images)} good images show a part that another one shows already "
        f"({images.paths[row]} {how} {images.paths[first]}); those of one part are kept together "
        "and count once for the threshold, so show more parts to support a smaller rate",
        EdgeADWarning,
        stacklevel=3,
    )


def calibration_of(images: Iterable[FitImage], config: FitSettings) -> Calibration | None:
    """The threshold that the scores of left-out images set. None if there are none."""
    scores = np.array(list(scores_of_parts(images).values()))
    if config.resolved_calibration == "a-contrario":
        assert isinstance(config, AContrarioSettings), "no other settings know of it"
        return a_contrario_threshold(scores, config.false_alarms)
    if len(scores) == 0:
        return None
    method: LearnedFrom = "leave-one-out" if _is_leave_one_out(config) else "split-conformal"
    return learned_threshold(scores, config.false_reject_rate, method)


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def versions() -> dict[str, str]:
    """The versions of what makes a fit."""
    import torch

    return {"edge_ad": edge_ad.__version__, "torch": torch.__version__, "numpy": np.__version__}
