"""`fit`: learn from good images, and set the threshold with those that were left out."""

from __future__ import annotations

import hashlib
import math
import warnings
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from torch import nn

import edge_ad
from edge_ad.features.isolation import IsolatedPatch, rows_kept
from edge_ad.fitting.calibrate import (
    a_contrario_threshold,
    check_rate,
    learned_threshold,
)
from edge_ad.fitting.fitted import SCHEMA, FitImage, FitRecord, FittedDetector
from edge_ad.images.good import GoodImages, list_images, load_preprocessed
from edge_ad.methods import Gathered, Method, load_method
from edge_ad.methods.judge import Judge
from edge_ad.methods.settings import AContrarioSettings, FitSettings
from edge_ad.networks.run import Run, TorchRun
from edge_ad_runtime.artifact.calibration_records import Calibration, LearnedFrom
from edge_ad_runtime.artifact.head_records import Certificate
from edge_ad_runtime.errors import ConfigError, EdgeADWarning, FitError
from edge_ad_runtime.images import read_image
from edge_ad_runtime.progress import ProgressBar

Image = TypeVar("Image", Path, str)

KEPT_PREPROCESSED = 32
KEPT_ORIGINALS = 3


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
    learned_from, held_out = split(list_images(images), config)
    if config.resolved_calibration == "leave-one-out":
        check_rate(config.false_reject_rate, len(learned_from))
    elif held_out:
        check_rate(config.false_reject_rate, len(held_out))
    good = GoodImages(learned_from, config.preprocessing)
    network = method.train(good, config, progress=progress)
    learned = _learn(method, network, TorchRun(network), good, held_out, config, progress=progress)
    paths, are_held_out = sorted(learned_from + held_out), set(held_out)
    record = FitRecord(
        schema=SCHEMA,
        method=config.method,
        calibration=calibration_of(learned.scores, config),
        images=tuple(
            FitImage(
                path=str(p),
                sha256=_sha256(p),
                held_out=p in are_held_out,
                left_out_score=learned.scores.get(p),
            )
            for p in paths
        ),
        isolated=learned.isolated,
        versions=versions(),
        certificate=learned.certificate,
    )
    _warn_of_copies(record.images)
    shown = (held_out or learned_from)[:KEPT_PREPROCESSED]
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
    good = GoodImages(learned_from, config.preprocessing, screened=True)
    method, network = load_method(record.method), fitted.network()
    learned = _learn(method, network, run, good, held_out, config, progress=progress)
    images = tuple(
        replace(image, left_out_score=learned.scores.get(Path(image.path)))
        for image in record.images
    )
    calibration = calibration_of(learned.scores, config)
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
    scores = {path: judge.score(load_preprocessed(path, config.preprocessing)) for path in bar}
    return _learned(gathered, scores)


def _learned(gathered: Gathered, scores: dict[Path, float]) -> _Learned:
    return _Learned(
        kept=gathered.kept,
        isolated=gathered.isolated,
        scores=scores,
        certificate=gathered.certificate,
    )


def split(paths: list[Image], config: FitSettings) -> tuple[list[Image], list[Image]]:
    """Draw by the seed the images to learn from and those to hold out."""
    count = len(paths) if config.shots is None else config.shots
    if count > len(paths):
        raise ConfigError(f"shots is {count}; there are only {len(paths)} good images")
    held_out, share = 0, config.resolved_holdout_fraction
    if share:
        held_out = min(max(round(count * share), 1), count - 1)
    if count < 1 or held_out < (share > 0):
        raise FitError(
            f"{count} good images; at least 2 are needed, one to learn from and one to set the "
            "threshold, and 50 or more are wise (with --holdout-fraction 0 one is enough, and the "
            "export must be given a --threshold)"
        )
    order = np.random.default_rng(config.seed).permutation(len(paths))[:count]
    return [paths[i] for i in sorted(order[held_out:])], [paths[i] for i in order[:held_out]]


def _warn_of_copies(images: Iterable[FitImage]) -> None:
    """Warn of left-out images that were learned from too: their scores are too low for new parts.

    With a bank such an image scores nearly 0.
    """
    images = list(images)
    times_learned = Counter(image.sha256 for image in images if not image.held_out)
    left_out = [image for image in images if image.left_out_score is not None]
    # left out of what was learned: held out, or counted once
    copies = [i.path for i in left_out if times_learned[i.sha256] > (0 if i.held_out else 1)]
    if copies:
        warnings.warn(
            f"{len(copies)} of {len(left_out)} images that set the threshold are copies of images "
            f"that were learned from ({copies[0]} is one), so that it may be too low and the rate "
            "means less; remove copies and fit again",
            EdgeADWarning,
            stacklevel=3,
        )


def calibration_of(scores: dict[Path, float], config: FitSettings) -> Calibration | None:
    """The threshold that the scores of left-out images set. None if there are none."""
    found = np.array(list(scores.values()))
    if config.resolved_calibration == "a-contrario":
        assert isinstance(config, AContrarioSettings), "no other settings know of it"
        return a_contrario_threshold(found, config.false_alarms)
    if not scores:
        return None
    is_split = config.resolved_calibration == "split"
    method: LearnedFrom = "split-conformal" if is_split else "leave-one-out"
    return learned_threshold(found, config.false_reject_rate, method)


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def versions() -> dict[str, str]:
    """The versions of what makes a fit."""
    import torch

    return {"edge_ad": edge_ad.__version__, "torch": torch.__version__, "numpy": np.__version__}
