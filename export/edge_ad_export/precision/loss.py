"""What a reduced precision costs, measured against the float32 network and what it has learned."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ad.evaluation.metrics import auroc
from edge_ad.fitting.ensemble import Ensemble
from edge_ad.images.good import load_preprocessed
from edge_ad.images.labelled import list_test_images
from edge_ad.methods import Lowered
from edge_ad.methods.judge import Judge
from edge_ad.networks.run import Run, TorchRun
from edge_ad.synthetic.damage import with_damage
from edge_ad_export.settings import ExportConfig
from edge_ad_runtime.artifact.schema import PrecisionLoss
from edge_ad_runtime.decision.threshold import least_unit
from edge_ad_runtime.heads import Arrays
from edge_ad_runtime.heads.ensemble import combine
from edge_ad_runtime.heads.stages import own_stages
from edge_ad_runtime.progress import ProgressBar


def measure_loss(
    exact: Ensemble,
    reduced: Ensemble,
    lowered: Sequence[Lowered],
    runs: Sequence[Run],
    config: ExportConfig,
    *,
    progress: bool = False,
) -> PrecisionLoss:
    """Compare stages and scores on held-out good images and damaged copies.

    Args:
        exact: the float32 members.
        reduced: the same members with networks of ``config.precision``, and what they have learned.
        lowered: what devices need of the reduced members.
        runs: the networks of the reduced members.
        config: the settings, of which ``labelled``, ``loss_tolerance`` and the seed are used.
        progress: show bars on stderr.
    """
    originals = [member.network() for member in exact.members]
    lowered_exact = [m.lower(n) for m, n in zip(exact.members, originals, strict=True)]
    theirs = _Detector(exact, lowered_exact, [TorchRun(network) for network in originals])
    ours = _Detector(reduced, lowered, runs)
    names = list(dict.fromkeys(s.name for judge in ours.judges for s in own_stages(judge.head)))
    stages: dict[str, list[float]] = {name: [] for name in names}
    scores = []
    images = list(with_damage(exact.members[0].held_out, config.seed))
    threshold = exact.calibration(config.threshold).threshold
    in_decades = any(judge.head.in_decades for judge in ours.judges)
    least = least_unit(threshold, in_decades=in_decades)
    for image in ProgressBar(images, desc="precision loss", unit="image", disable=not progress):
        (found, score), (expected, exact_score) = ours.stages(image), theirs.stages(image)
        for own, true in zip(found, expected, strict=True):
            for name in names:
                if name in own:
                    stages[name].append(_relative(own[name], true[name]))
        scores.append(abs(score - exact_score) / max(abs(exact_score), least))
    aurocs: tuple[float | None, ...] = (None, None)
    if config.labelled is not None:
        aurocs = _aurocs(config.labelled, theirs, ours, progress=progress)
    return PrecisionLoss(
        images=len(images),
        stages={name: float(np.mean(differences)) for name, differences in stages.items()},
        score_mean=float(np.mean(scores)),
        score_worst=float(np.max(scores)),
        auroc_fp32=aurocs[0],
        auroc=aurocs[1],
        accepted=float(np.mean(scores)) > config.loss_tolerance,  # if not, the export refuses it
    )


class _Detector:
    """An ensemble in memory, with the networks that it is to be judged with."""

    def __init__(self, ensemble: Ensemble, lowered: Sequence[Lowered], runs: Sequence[Run]) -> None:
        first = ensemble.members[0].config
        self.preprocessing = first.preprocessing
        self._scales = list(ensemble.scales)
        pairs = zip(runs, lowered, strict=True)
        self.judges = [Judge(run, each, first.size) for run, each in pairs]

    def stages(self, preprocessed: NDArray[np.uint8]) -> tuple[list[Arrays], float]:
        """The values of each member's stages before the map, and the score."""
        found = [judge.stages(preprocessed) for judge in self.judges]
        score = combine([score for _, score in found], self._scales)
        return [values for values, _ in found], float(score)

    def score(self, preprocessed: NDArray[np.uint8]) -> float:
        """The score alone."""
        scores = [judge.score(preprocessed) for judge in self.judges]
        return float(combine(scores, self._scales))


def _aurocs(labelled: Path, *detectors: _Detector, progress: bool) -> tuple[float, ...]:
    images = list_test_images(labelled)
    scores = np.empty((len(detectors), len(images)))
    for i, image in enumerate(
        ProgressBar(images, desc="labelled", unit="image", disable=not progress)
    ):
        preprocessed = load_preprocessed(image.path, detectors[0].preprocessing)
        for j, detector in enumerate(detectors):
            scores[j, i] = detector.score(preprocessed)
    is_defective = np.array([image.is_defective for image in images])
    return tuple(auroc(row, is_defective) for row in scores)


def _relative(found: NDArray[Any], expected: NDArray[Any]) -> float:
    """The mean difference, divided by the mean of what was expected."""
    return float(np.abs(found - expected).mean() / max(float(np.abs(expected).mean()), 1e-12))


def describe(loss: PrecisionLoss) -> str:
    """The report, for people."""
    stages = "".join(f"{name} {value:.2%} off, " for name, value in loss.stages.items())
    text = (
        f"on {loss.images} held-out images, good ones and damaged copies, against float32: "
        f"{stages}scores {loss.score_mean:.2%} (worst image {loss.score_worst:.2%})"
    )
    if loss.auroc is not None and loss.auroc_fp32 is not None:
        text += f"; image AUROC {loss.auroc:.4f}, float32 {loss.auroc_fp32:.4f}"
    return text
