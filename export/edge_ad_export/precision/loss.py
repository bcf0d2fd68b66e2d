"""What a reduced precision costs, measured against the float32 network with its own bank."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from edge_ad.evaluation.metrics import auroc
from edge_ad.features.patches import Run, extract, load_preprocessed, restore_network
from edge_ad.fitting.ensemble import Ensemble
from edge_ad.images.labelled import list_test_images
from edge_ad.methods.patchcore.bank import BankScorer
from edge_ad.synthetic.damage import with_damage
from edge_ad_export.settings import ExportConfig
from edge_ad_runtime.artifact.manifest import PrecisionLoss
from edge_ad_runtime.heads.patch_scoring import combine


def measure_loss(
    exact: Ensemble,
    reduced: Ensemble,
    runs: Sequence[Run],
    config: ExportConfig,
    *,
    progress: bool = False,
) -> PrecisionLoss:
    """Compare features, distances and scores on held-out good images and damaged copies.

    Args:
        exact: the float32 members.
        reduced: the same with networks of ``config.precision``, banks and thresholds their own.
        runs: those networks.
        config: ``labelled``, ``loss_tolerance`` and the seed.
        progress: show bars on stderr.
    """
    networks = [restore_network(member.config, member.backbone) for member in exact.members]
    theirs = _Detector(exact, [partial(extract, network) for network in networks])
    ours = _Detector(reduced, runs)
    held_out = exact.members[0].held_out
    features, distances, scores = [], [], []
    images = list(with_damage(held_out, config.seed))
    floor = 0.1 * exact.calibration(config.threshold).threshold
    for image in tqdm(images, desc="precision loss", unit="image", disable=not progress):
        found, expected = ours.observe(image), theirs.observe(image)
        for i in range(len(exact.members)):
            features.append(_relative(found[0][i], expected[0][i]))
            distances.append(_relative(found[1][i], expected[1][i]))
        scores.append(abs(found[2] - expected[2]) / max(expected[2], floor))
    aurocs: tuple[float | None, ...] = (None, None)
    if config.labelled is not None:
        aurocs = _aurocs(config.labelled, theirs, ours, progress=progress)
    return PrecisionLoss(
        images=len(images),
        features=float(np.mean(features)),
        distances=float(np.mean(distances)),
        score_mean=float(np.mean(scores)),
        score_worst=float(np.max(scores)),
        auroc_fp32=aurocs[0],
        auroc=aurocs[1],
        accepted=float(np.mean(scores)) > config.loss_tolerance,  # or it is refused
    )


class _Detector:
    """An ensemble with the networks that it is to be judged with."""

    def __init__(self, ensemble: Ensemble, runs: Sequence[Run]) -> None:
        self._runs = runs
        self._scales = list(ensemble.scales)
        self._scorers = [BankScorer(m.bank, m.config.scoring) for m in ensemble.members]
        self.preprocessing = ensemble.members[0].config.preprocessing

    def observe(
        self, preprocessed: NDArray[np.uint8]
    ) -> tuple[list[NDArray[np.float32]], list[NDArray[np.float32]], float]:
        """Features and distances per member, and the score."""
        features = [run(preprocessed[np.newaxis])[0] for run in self._runs]
        scored = [s.score(f) for s, f in zip(self._scorers, features, strict=True)]
        score = float(combine([score for _, score in scored], self._scales))
        return features, [distances for distances, _ in scored], score


def _aurocs(labelled: Path, *detectors: _Detector, progress: bool) -> tuple[float, ...]:
    images = list_test_images(labelled)
    scores = np.empty((len(detectors), len(images)))
    for i, image in enumerate(tqdm(images, desc="labelled", unit="image", disable=not progress)):
        preprocessed = load_preprocessed(image.path, detectors[0].preprocessing)
        for j, detector in enumerate(detectors):
            scores[j, i] = detector.observe(preprocessed)[2]
    is_defective = np.array([image.is_defective for image in images])
    return tuple(auroc(row, is_defective) for row in scores)


def _relative(found: NDArray[np.float32], expected: NDArray[np.float32]) -> float:
    """Mean difference over the mean expected."""
    return float(np.abs(found - expected).mean() / max(float(np.abs(expected).mean()), 1e-12))


def describe(loss: PrecisionLoss) -> str:
    """The report, for people."""
    text = (
        f"on {loss.images} held-out images, good ones and damaged copies, against float32: "
        f"features {loss.features:.2%} off, patch distances {loss.distances:.2%}, scores "
        f"{loss.score_mean:.2%} (worst image {loss.score_worst:.2%})"
    )
    if loss.auroc is not None and loss.auroc_fp32 is not None:
        text += f"; image AUROC {loss.auroc:.4f}, float32 {loss.auroc_fp32:.4f}"
    return text
