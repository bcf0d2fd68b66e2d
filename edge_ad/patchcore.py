"""Fit a PatchCore: features of good images, a coreset of them, a threshold."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from tqdm import tqdm

import edge_ad
from edge_ad.bank import Bank, build_bank
from edge_ad.calibrate import check_rate, split_conformal
from edge_ad.config import PatchCoreConfig
from edge_ad.dataset import list_images
from edge_ad.features import PatchFeatures, build_network, extract_files, load_preprocessed
from edge_ad.fitted import SCHEMA, FitImage, FitRecord, FittedDetector
from edge_ad.isolation import find_isolated
from edge_ad.weights import fingerprint
from edge_ad_runtime.errors import ConfigError, FitError
from edge_ad_runtime.images import read_image
from edge_ad_runtime.score import image_score, patch_distances
from edge_ad_runtime.search.exact import ExactSearch

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

    features = extract_files(network, bank_paths, config.preprocessing, progress=progress)
    grid, dimension = features.shape[1:3], features.shape[3]
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
    scores = _scores(network, held_out_paths, bank, config, progress=progress)
    backbone = network.backbone.state_dict()
    record = FitRecord(
        schema=SCHEMA,
        config=config,
        grid=(grid[0], grid[1]),
        dimension=dimension,
        weights_sha256=fingerprint(backbone),
        calibration=split_conformal(np.array(list(scores.values())), config.false_reject_rate)
        if scores
        else None,
        images=tuple(
            FitImage(path=str(path), sha256=_sha256(path), held_out_score=scores.get(path))
            for path in sorted(bank_paths + held_out_paths)
        ),
        isolated=tuple(isolated),
        versions=_versions(),
    )
    shown = (held_out_paths or bank_paths)[:_KEPT_PREPROCESSED]
    return FittedDetector(
        record=record,
        backbone=backbone,
        bank=bank,
        held_out=np.stack([load_preprocessed(path, config.preprocessing) for path in shown]),
        originals=tuple(read_image(path) for path in shown[:_KEPT_ORIGINALS]),
    )


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


def _scores(
    network: PatchFeatures,
    paths: list[Path],
    bank: Bank,
    config: PatchCoreConfig,
    *,
    progress: bool,
) -> dict[Path, float]:
    """Image scores as the device computes them, features by torch."""
    search = ExactSearch(bank.features)
    scores = {}
    with tqdm(paths, desc="threshold", unit="image", disable=not progress) as bar:
        for path in bar:
            features = extract_files(network, [path], config.preprocessing, progress=False)
            flat = features.reshape(-1, features.shape[-1])
            nearest = search.nearest(flat, config.neighbours)
            distances = patch_distances(nearest, config.scoring)
            scores[path] = image_score(flat, distances, nearest, bank.features, bank.neighbours)
    return scores


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _versions() -> dict[str, str]:
    import torch

    return {"edge_ad": edge_ad.__version__, "torch": torch.__version__, "numpy": np.__version__}
