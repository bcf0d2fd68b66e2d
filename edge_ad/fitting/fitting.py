"""Fit a PatchCore: features of good images, a coreset of them, a threshold."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from tqdm import tqdm

import edge_ad
from edge_ad.features.isolation import find_isolated
from edge_ad.features.patches import (
    Run,
    build_network,
    extract,
    extract_files,
    load_preprocessed,
    network_state,
)
from edge_ad.features.whitening import learn_whitening, whiten_in_place
from edge_ad.fitting.calibrate import check_rate, split_conformal
from edge_ad.fitting.fitted import SCHEMA, FitImage, FitRecord, FittedDetector
from edge_ad.images.good import list_images
from edge_ad.methods.patchcore.bank import Bank, BankScorer, build_bank
from edge_ad.methods.patchcore.settings import PatchCoreConfig
from edge_ad.networks.weights import fingerprint
from edge_ad_runtime.artifact.manifest import Calibration
from edge_ad_runtime.errors import ConfigError, EdgeADWarning, FitError
from edge_ad_runtime.images import read_image

_KEPT_PREPROCESSED = 32
_KEPT_ORIGINALS = 3


def fit(
    images: Path | str | Iterable[Path | str], config: PatchCoreConfig, *, progress: bool = False
) -> FittedDetector:
    """Learn what good looks like.

    A share of the images, drawn by ``config.seed``, is held out of the bank and sets the threshold.

    Args:
        images: a folder of good images, or their paths; at least 2 (1 if none is held out).
        config: the settings.
        progress: show bars on stderr.

    Raises:
        FitError: too few images, weights or features that are not finite.
        ImageError: an image that cannot be read (named): fitting stops, a bank must not be guessed.
        ConfigError: settings that cannot work with so many images.
    """
    bank_paths, held_out_paths = _split(list_images(images), config)
    if config.holdout_fraction:
        check_rate(config.false_reject_rate, len(held_out_paths))
    network = build_network(config)
    run = partial(extract, network)

    features = extract_files(run, bank_paths, config.preprocessing, progress=progress)
    grid, dimension = features.shape[1:3], features.shape[3]
    if config.resolved_whiten:
        network.whitening = learn_whitening(features.reshape(-1, dimension))
        whiten_in_place(features.reshape(-1, dimension), network.whitening)
    isolated = find_isolated(
        features, bank_paths, exclude_above=config.exclude_outliers, seed=config.seed
    )
    excluded = {patch.path for patch in isolated if patch.excluded}
    kept = [i for i, path in enumerate(bank_paths) if str(path) not in excluded]
    for to, i in enumerate(kept if excluded else ()):  # in place: the features may fill a disk
        features[to] = features[i]
    patches = features[: len(kept)].reshape(-1, dimension)
    bank = build_bank(patches, config, progress=progress)
    del features, patches  # gigabytes, on a large set
    scores = _scores(run, held_out_paths, bank, config, progress=progress)
    record = FitRecord(
        schema=SCHEMA,
        config=config,
        grid=(grid[0], grid[1]),
        dimension=dimension,
        weights_sha256=fingerprint(network.backbone.state_dict()),
        calibration=_calibration(scores, config),
        images=tuple(
            FitImage(path=str(path), sha256=_sha256(path), held_out_score=scores.get(path))
            for path in sorted(bank_paths + held_out_paths)
        ),
        isolated=tuple(isolated),
        versions=_versions(),
    )
    _warn_of_copies(record.images)
    shown = (held_out_paths or bank_paths)[:_KEPT_PREPROCESSED]
    return FittedDetector(
        record=record,
        backbone=network_state(network),
        bank=bank,
        held_out=np.stack([load_preprocessed(path, config.preprocessing) for path in shown]),
        originals=tuple(read_image(path) for path in shown[:_KEPT_ORIGINALS]),
    )


def relearn(fitted: FittedDetector, run: Run, *, progress: bool = False) -> FittedDetector:
    """The bank and the threshold anew, from the same images through another network.

    Args:
        fitted: what they were learned as.
        run: the other network, such as a quantised one; its features have the same shape.
        progress: show bars on stderr.

    Raises:
        FitError: an image is not there any more, or is another one now.
    """
    record, config = fitted.record, fitted.config
    for image in record.images:
        path = Path(image.path)
        if not path.is_file() or _sha256(path) != image.sha256:
            raise FitError(
                f"{path}: {'changed since the fit' if path.is_file() else 'not found'}; the bank "
                "must be learned anew from the images of the fit, run where they are"
            )
    left_out = {patch.path for patch in record.isolated if patch.excluded}
    left_out |= {image.path for image in record.images if image.held_out_score is not None}
    bank_paths = [Path(image.path) for image in record.images if image.path not in left_out]
    features = extract_files(run, bank_paths, config.preprocessing, progress=progress)
    bank = build_bank(features.reshape(-1, record.dimension), config, progress=progress)
    del features  # gigabytes, on a large set
    held_out = [Path(i.path) for i in record.images if i.held_out_score is not None]
    scores = _scores(run, held_out, bank, config, progress=progress)
    images = tuple(
        replace(image, held_out_score=scores.get(Path(image.path))) for image in record.images
    )
    record = replace(record, images=images, calibration=_calibration(scores, config))
    return replace(fitted, bank=bank, record=record)


def _split(paths: list[Path], config: PatchCoreConfig) -> tuple[list[Path], list[Path]]:
    """Bank and held-out images, a seeded draw."""
    count = len(paths) if config.shots is None else config.shots
    if count > len(paths):
        raise ConfigError(f"shots is {count}; there are only {len(paths)} good images")
    held_out = 0
    if config.holdout_fraction:
        held_out = min(max(round(count * config.holdout_fraction), 1), count - 1)
    if count < 1 or held_out < (config.holdout_fraction > 0):
        raise FitError(
            f"{count} good images; at least 2 are needed, one for the bank and one to set the "
            "threshold, and 50 or more are wise (with --holdout-fraction 0 one is enough, and the "
            "export must be given a --threshold)"
        )
    order = np.random.default_rng(config.seed).permutation(len(paths))[:count]
    return [paths[i] for i in sorted(order[held_out:])], [paths[i] for i in order[:held_out]]


def _warn_of_copies(images: Iterable[FitImage]) -> None:
    """Held-out images that are in the bank too score nearly 0, and say nothing of new parts."""
    images = list(images)
    in_bank = {image.sha256 for image in images if image.held_out_score is None}
    held_out = [image for image in images if image.held_out_score is not None]
    if copies := [image.path for image in held_out if image.sha256 in in_bank]:
        warnings.warn(
            f"{len(copies)} of {len(held_out)} held-out images are copies of images in the bank "
            f"({copies[0]} is one), so that the threshold may be too low and the rate means less; "
            "remove copies and fit again",
            EdgeADWarning,
            stacklevel=3,
        )


def _scores(
    run: Run,
    paths: list[Path],
    bank: Bank,
    config: PatchCoreConfig,
    *,
    progress: bool,
) -> dict[Path, float]:
    scorer = BankScorer(bank, config.scoring)
    scores = {}
    with tqdm(paths, desc="threshold", unit="image", disable=not progress) as bar:
        for path in bar:
            features = extract_files(run, [path], config.preprocessing, progress=False)
            _, scores[path] = scorer.score(features)
    return scores


def _calibration(scores: dict[Path, float], config: PatchCoreConfig) -> Calibration | None:
    if not scores:
        return None
    return split_conformal(np.array(list(scores.values())), config.false_reject_rate)


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _versions() -> dict[str, str]:
    import torch

    return {"edge_ad": edge_ad.__version__, "torch": torch.__version__, "numpy": np.__version__}
