"""Replay the artifact's reference images on this machine and compare every stage.

Each stage is fed the *reference's* output of the stage before, so the first stage that fails is
the one to look at, and its numbers are its own. The score and the verdict are taken end to end,
from the PNG, as in production.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from edge_ad_runtime import __version__
from edge_ad_runtime.artifact import folder as files
from edge_ad_runtime.artifact.manifest import ReferenceImage
from edge_ad_runtime.artifact.npy import Shaped, parse_npz
from edge_ad_runtime.detector import Detector
from edge_ad_runtime.device.settings import machine
from edge_ad_runtime.errors import ArtifactError
from edge_ad_runtime.escaping import json_text, shown

STAGES = ("preprocess", "features", "distances", "map", "score", "verdict")
PRECISION = "precision"  # one stage more: the loss against the float32 network, where there is any


@dataclass(frozen=True, kw_only=True)
class StageCheck:
    """The worst difference of one stage over all reference images.

    Attributes:
        stage: one of `STAGES`, or `PRECISION`.
        worst_difference: see `Tolerances` for the unit; for ``verdict`` the number that differ.
        tolerance: at most this is fine.
        image: the file with the worst difference.
        ok: whether it is.
    """

    stage: str
    worst_difference: float
    tolerance: float
    image: str
    ok: bool


@dataclass(frozen=True, kw_only=True)
class VerifyReport:
    """What ``edge-ad verify`` found."""

    ok: bool
    artifact: str
    artifact_sha256: str
    runtime_version: str
    engine: str
    engine_version: str
    device: str
    precision: str
    search: str
    threads: int | None
    machine: dict[str, str | int]
    images: int
    checked_bytes: int
    stages: tuple[StageCheck, ...]

    @property
    def first_failure(self) -> StageCheck | None:
        """The first stage, in pipeline order, that is out of tolerance."""
        return next((stage for stage in self.stages if not stage.ok), None)

    def to_json(self) -> str:
        """One JSON object; fields are only ever added."""
        return json_text(asdict(self), indent=2)

    def to_junit(self) -> str:
        """JUnit XML, one test case per stage."""
        failed = sum(not stage.ok for stage in self.stages)
        suite = _junit_suite(tests=len(self.stages), failures=failed)
        for stage in self.stages:
            case = ElementTree.SubElement(
                suite, "testcase", classname=shown(self.artifact), name=stage.stage
            )
            if not stage.ok:
                message = f"{stage.worst_difference:.3g} > {stage.tolerance:.3g} on {stage.image}"
                ElementTree.SubElement(case, "failure", message=message)
        return ElementTree.tostring(suite, encoding="unicode", xml_declaration=True)


def junit_refusal(message: str) -> str:
    """JUnit XML for an artifact that could not even be replayed."""
    suite = _junit_suite(tests=1, failures=1)
    case = ElementTree.SubElement(suite, "testcase", classname="edge-ad", name="load")
    ElementTree.SubElement(case, "failure", message=shown(message))
    return ElementTree.tostring(suite, encoding="unicode", xml_declaration=True)


def verify(detector: Detector) -> VerifyReport:
    """Hash every file of the artifact, replay its reference images, compare.

    Raises:
        ArtifactError: a file is missing or damaged, or there is nothing to replay.
    """
    artifact, manifest = detector.artifact, detector.manifest
    checked_bytes = artifact.check_all()
    if not manifest.reference:
        raise ArtifactError("carries no reference images; export again", path=artifact.folder)
    rows = [
        _differences(detector, reference, values)
        for reference, values in zip(manifest.reference, _expected(detector), strict=True)
    ]
    stages = tuple(_worst(detector, stage, rows) for stage in rows[0])
    return VerifyReport(
        ok=all(stage.ok for stage in stages),
        artifact=artifact.folder.name,
        artifact_sha256=manifest.sha256,
        runtime_version=__version__,
        engine=detector.engine.name,
        engine_version=detector.engine.version,
        device=detector.engine.device,
        precision=detector.precision,
        search=detector.search,
        threads=detector.threads,
        machine=machine(),
        images=len(manifest.reference),
        checked_bytes=checked_bytes,
        stages=stages,
    )


@dataclass(frozen=True, kw_only=True)
class _Expected:
    """The reference's values for one image; features and distances are per member."""

    preprocessed: NDArray[np.uint8]
    features: list[NDArray[np.float32]]
    distances: list[NDArray[np.float32]]
    map: NDArray[np.float32]
    score: float
    score_fp32: float
    anomalous: bool


def _expected(detector: Detector) -> list[_Expected]:
    artifact, images = detector.artifact, range(len(detector.manifest.reference))
    members = range(len(detector.members))
    shapes = {f"{i}.{name}": shaped for i in images for name, shaped in _shapes(detector).items()}
    try:
        values = parse_npz(artifact.read(files.REFERENCE_VALUES), shapes)
        if bad := [
            n for n, v in values.items() if v.dtype.kind == "f" and not np.isfinite(v).all()
        ]:
            raise ValueError(f"{bad[0]} holds numbers that are not finite")
    except ValueError as exc:
        path = artifact.folder / files.REFERENCE_VALUES
        raise ArtifactError(f"not the reference values: {exc}; export again", path=path) from exc
    return [
        _Expected(
            preprocessed=values[f"{i}.preprocessed"],
            features=[values[f"{i}.{member}.features"] for member in members],
            distances=[values[f"{i}.{member}.distances"] for member in members],
            map=values[f"{i}.map"],
            score=float(values[f"{i}.score"]),
            score_fp32=float(values[f"{i}.score_fp32"]),
            anomalous=bool(values[f"{i}.anomalous"]),
        )
        for i in images
    ]


def _shapes(detector: Detector) -> dict[str, Shaped]:
    """What the reference values of one image are."""
    size, networks = (
        detector.manifest.preprocessing.size,
        [m.member.network for m in detector.members],
    )
    return {
        "preprocessed": Shaped(np.uint8, (*size, 3)),
        "map": Shaped(np.float32, size),
        "score": Shaped(np.float64, ()),
        "score_fp32": Shaped(np.float64, ()),
        "anomalous": Shaped(np.bool_, ()),
        **{
            f"{i}.features": Shaped(np.float32, (*network.grid, network.dimension))
            for i, network in enumerate(networks)
        },
        **{
            f"{i}.distances": Shaped(np.float32, (network.grid[0] * network.grid[1],))
            for i, network in enumerate(networks)
        },
    }


def _differences(
    detector: Detector, reference: ReferenceImage, expected: _Expected
) -> dict[str, float]:
    image = detector.artifact.image(reference.file)
    preprocessed = detector.manifest.preprocessing.apply(image)
    prediction = detector.predict(image)
    near = abs(expected.score - prediction.threshold) <= (
        detector.manifest.tolerances.score * expected.score
    )
    flipped = expected.anomalous != (prediction.verdict == "anomalous")
    floor = 0.1 * prediction.threshold
    observed = [member.observe(expected.preprocessed[np.newaxis])[0] for member in detector.members]
    members = list(
        zip(detector.members, observed, expected.features, expected.distances, strict=True)
    )
    differences = {
        "preprocess": _largest_level_difference(preprocessed, expected.preprocessed),
        "features": max(_relative(found.features, features) for _, found, features, _ in members),
        "distances": max(
            _relative_mean(
                member.distances(member.nearest(replace(found, features=features))),
                distances,
                floor * member.member.scale,
            )
            for member, found, features, distances in members
        ),
        "map": _relative(detector.map(expected.distances), expected.map, floor),
        "score": _relative(np.asarray(prediction.score), np.asarray(expected.score), floor),
        "verdict": float(flipped and not near),
    }
    if detector.manifest.precision_loss is not None:
        exact = np.asarray(expected.score_fp32)
        differences[PRECISION] = _relative(np.asarray(prediction.score), exact, floor)
    return differences


def _worst(detector: Detector, stage: str, rows: list[dict[str, float]]) -> StageCheck:
    tolerances = detector.manifest.tolerances
    tolerance = {
        "preprocess": float(tolerances.preprocess_levels),
        "features": tolerances.features,
        "distances": tolerances.distances,
        "map": tolerances.map,
        "score": tolerances.score,
        "verdict": 0.0,
        PRECISION: tolerances.precision,
    }[stage]
    differences = [row[stage] for row in rows]
    at = int(np.argmax(differences))
    worst = sum(differences) if stage == "verdict" else differences[at]
    return StageCheck(
        stage=stage,
        worst_difference=worst,
        tolerance=tolerance,
        image=Path(detector.manifest.reference[at].file).name,
        ok=worst <= tolerance,
    )


def _largest_level_difference(found: NDArray[np.uint8], expected: NDArray[np.uint8]) -> float:
    if found.shape != expected.shape:
        return float("inf")
    return float(np.abs(found.astype(np.int16) - expected).max())


def _relative(found: NDArray[Any], expected: NDArray[Any], floor: float = 0.0) -> float:
    """Largest difference over the largest expected magnitude; infinite if shapes differ.

    Magnitudes below ``floor`` count as that: the score of an image that is in the bank is rounding
    noise around 0, and only its difference in proportion to the threshold means anything.
    """
    if found.shape != expected.shape or not np.isfinite(found).all():
        return float("inf")
    scale = max(float(np.abs(expected).max()), floor, float(np.finfo(np.float32).tiny))
    return float(np.abs(found - expected).max()) / scale


def _relative_mean(
    found: NDArray[np.float32], expected: NDArray[np.float32], floor: float
) -> float:
    """Mean difference over the mean expected, which counts as ``floor`` at least."""
    if found.shape != expected.shape or not np.isfinite(found).all():
        return float("inf")
    return float(np.abs(found - expected).mean()) / max(float(expected.mean()), floor)


def _junit_suite(*, tests: int, failures: int) -> ElementTree.Element:
    return ElementTree.Element(
        "testsuite", name="edge-ad verify", tests=str(tests), failures=str(failures), errors="0"
    )
