"""The images that ``verify`` replays, and the slow truth about each at every stage."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ad.fitting.ensemble import Ensemble
from edge_ad.fitting.reference_detector import ReferenceDetector
from edge_ad.fitting.reference_regions import reference_regions
from edge_ad.methods.judge import Judge
from edge_ad.synthetic.damage import KINDS, damage
from edge_ad_export.compiled_network import CompiledNetwork
from edge_ad_export.settings import ExportConfig
from edge_ad_runtime.artifact.folder import REFERENCE_VALUES
from edge_ad_runtime.artifact.schema import ReferenceImage
from edge_ad_runtime.decision.regions import Region, as_table
from edge_ad_runtime.heads import MAP, SCORE, SIGNIFICANCE
from edge_ad_runtime.heads.stages import REGIONS
from edge_ad_runtime.images import RGBImage, write_png
from edge_ad_runtime.prediction import decisive_values

_COMBINED = (MAP.name, SCORE.name)  # the stages that are of all members together


@dataclass(frozen=True, kw_only=True, eq=False)
class Reference:
    """One image to replay and what must come of it.

    Attributes:
        entry: what the manifest says of the image.
        image: the image as the camera gave it.
        preprocessed: the image as the networks take it.
        traces: for each member every stage's value, by name.
        map: the members' maps, combined.
        score: the members' scores, combined.
        score_fp32: the scores of the float32 members, combined.
        is_anomalous: whether the score is above the threshold.
        regions: where the image is anomalous. It is None if the members cannot tell.
    """

    entry: ReferenceImage
    image: RGBImage
    preprocessed: RGBImage
    traces: tuple[dict[str, NDArray[Any]], ...]
    map: NDArray[np.float32]
    score: float
    score_fp32: float
    is_anomalous: bool
    regions: tuple[Region, ...] | None


def make_references(
    ensemble: Ensemble,
    networks: Sequence[CompiledNetwork],
    exact: Ensemble,
    threshold: float,
    config: ExportConfig,
) -> list[Reference]:
    """Good held-out images as the camera gave them, each followed by a damaged copy.

    Of all kinds of damage the one with the highest score is taken, so that scores above the
    threshold are exercised too. The device's own head chooses it: the slow truth would take most
    of an export's time for copies that are not kept.

    Args:
        ensemble: what is exported.
        networks: the ensemble's networks, as they are exported.
        exact: the float32 members. In float32 this is ``ensemble`` itself.
        threshold: the artifact's.
        config: the settings, which say how many images are made and with which seed.
    """
    detectors = [ReferenceDetector(network.fitted, network.run) for network in networks]
    reduced = exact is not ensemble
    exact_detectors = [ReferenceDetector(member) for member in exact.members if reduced]

    preprocessing = ensemble.members[0].config.preprocessing
    in_unit = all(detector.map_in_unit_of_score for detector in detectors)

    def reference(i: int, kind: str, image: RGBImage) -> Reference:
        traces = tuple(detector.trace(image) for detector in detectors)
        scaled = list(zip(traces, ensemble.scales, strict=True))
        score = _score(traces, ensemble)
        heat = np.mean([trace["map"] / scale for trace, scale in scaled], axis=0)
        # a member with a significance is the only one
        decisive = decisive_values(heat, traces[0].get(SIGNIFICANCE), in_unit)
        placement = preprocessing.placement(image.shape[:2])
        return Reference(
            entry=ReferenceImage(
                file=f"reference/{i}-{'good' if kind == 'none' else kind}.png", damage=kind
            ),
            image=image,
            preprocessed=preprocessing.apply(image),
            traces=traces,
            map=heat,
            score=score,
            score_fp32=_score([d.trace(image) for d in exact_detectors], exact)
            if reduced
            else score,
            is_anomalous=score > threshold,
            regions=None if decisive is None else reference_regions(decisive, threshold, placement),
        )

    judges = [Judge(network.run, network.lowered, preprocessing.size) for network in networks]

    def quick_scores(images: Iterable[RGBImage]) -> list[float]:
        preprocessed = [preprocessing.apply(image) for image in images]
        of_each = zip(*(judge.scores(preprocessed) for judge in judges), strict=True)
        return [_mean(scores, ensemble) for scores in of_each]

    rng = np.random.default_rng(config.seed)
    references = []
    for i, image in enumerate(ensemble.members[0].originals[: config.reference_images]):
        references.append(reference(i, "none", image))
        damaged = {kind: damage(image, kind, rng)[0] for kind in KINDS}
        scores = dict(zip(damaged, quick_scores(damaged.values()), strict=True))
        worst = max(scores, key=lambda kind: scores[kind])
        references.append(reference(i, worst, damaged[worst]))
    return references


def _score(traces: Sequence[dict[str, NDArray[Any]]], ensemble: Ensemble) -> float:
    return _mean([float(trace["score"]) for trace in traces], ensemble)


def _mean(scores: Sequence[float], ensemble: Ensemble) -> float:
    """The ensemble's score from its members' own."""
    return float(np.mean([s / scale for s, scale in zip(scores, ensemble.scales, strict=True)]))


def write_references(folder: Path, references: list[Reference]) -> None:
    """Write the PNGs and ``reference/values.npz`` (keys ``0.map`` ...) into ``folder``."""
    values: dict[str, NDArray[Any]] = {}
    for i, reference in enumerate(references):
        write_png(folder / reference.entry.file, reference.image)
        values[f"{i}.preprocessed"] = reference.preprocessed
        for member, trace in enumerate(reference.traces):
            own = {stage: value for stage, value in trace.items() if stage not in _COMBINED}
            values |= {f"{i}.{member}.{stage}": value for stage, value in own.items()}
        values[f"{i}.map"] = reference.map
        values[f"{i}.score"] = np.asarray(reference.score)
        values[f"{i}.score_fp32"] = np.asarray(reference.score_fp32)
        values[f"{i}.anomalous"] = np.asarray(reference.is_anomalous)
        if reference.regions is not None:
            values[f"{i}.{REGIONS}"] = as_table(reference.regions)
    np.savez(folder / REFERENCE_VALUES, allow_pickle=False, **values)
