"""Replay the artifact's reference images on this machine and compare every stage.

Each stage is fed the *reference's* output of the stage before. So the first stage that fails is the
one to look at, and its numbers are its own. The score and the verdict are taken end to end, from
the PNG, as in production.

The regions are found in the reference's own map. So they must be the reference's to the last pixel,
and nothing is tolerated. In a map of this machine's own a pixel whose value is near the threshold
may be on its other side, and join two regions or part one. How near that must be is what the
tolerance of the map bounds.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from edge_ad_runtime.artifact import folder as files
from edge_ad_runtime.artifact.npy import Shaped, parse_npz
from edge_ad_runtime.artifact.schema import ReferenceImage
from edge_ad_runtime.decision.regions import TABLE_SHAPE, as_table
from edge_ad_runtime.decision.threshold import least_unit
from edge_ad_runtime.detector import Detector
from edge_ad_runtime.errors import ArtifactError
from edge_ad_runtime.escaping import json_text, shown
from edge_ad_runtime.heads import MAP, SCORE, SIGNIFICANCE
from edge_ad_runtime.heads.ensemble import combine
from edge_ad_runtime.heads.stages import REGIONS, compare, own_stages, tell_regions
from edge_ad_runtime.provenance import Provenance, provenance

VERDICT = "verdict"
NO_VALUES = "exported before this stage was there; export again to check it"
PRECISION = "precision"  # a last stage, which is the loss against the float32 network, if any


@dataclass(frozen=True, kw_only=True)
class StageCheck:
    """The worst difference of one stage over all reference images.

    Attributes:
        stage: ``preprocess``, a stage of a head, `VERDICT`, `REGIONS` or `PRECISION`.
        worst_difference: the largest difference. For ``preprocess`` it is in grey levels, for
            ``verdict`` the number of verdicts that differ, and for ``regions`` the number of
            regions that only the reference or only this machine finds. For the other stages it is
            relative, see `edge_ad_runtime.heads.Stage`.
        tolerance: the largest difference that is tolerated.
        image: the file with the worst difference.
        ok: whether the worst difference is tolerated.
    """

    stage: str
    worst_difference: float
    tolerance: float
    image: str
    ok: bool


@dataclass(frozen=True, kw_only=True)
class VerifyReport(Provenance):
    """What ``edge-ad verify`` found.

    Attributes:
        ok: whether every stage is within its tolerance.
        images: the number of reference images that were replayed.
        checked_bytes: the bytes of all the files, which were hashed.
        stages: the stages in the order of the pipeline.
        not_checked: stages that the artifact has no reference values of, as it was exported before
            they were there.
    """

    ok: bool
    images: int
    checked_bytes: int
    stages: tuple[StageCheck, ...]
    not_checked: tuple[str, ...] = ()

    @property
    def first_failure(self) -> StageCheck | None:
        """The first stage, in pipeline order, that is out of tolerance."""
        return next((stage for stage in self.stages if not stage.ok), None)

    def to_json(self) -> str:
        """One JSON object. Fields are only ever added."""
        return json_text(asdict(self), indent=2)

    def to_junit(self) -> str:
        """JUnit XML, one test case per stage."""
        failed = sum(not stage.ok for stage in self.stages)
        tests = len(self.stages) + len(self.not_checked)
        suite = _junit_suite(tests=tests, failures=failed, skipped=len(self.not_checked))
        for stage in self.stages:
            case = ElementTree.SubElement(
                suite, "testcase", classname=shown(self.artifact), name=stage.stage
            )
            if not stage.ok:
                message = f"{stage.worst_difference:.3g} > {stage.tolerance:.3g} on {stage.image}"
                ElementTree.SubElement(case, "failure", message=message)
        for stage_name in self.not_checked:
            case = ElementTree.SubElement(
                suite, "testcase", classname=shown(self.artifact), name=stage_name
            )
            ElementTree.SubElement(case, "skipped", message=NO_VALUES)
        return ElementTree.tostring(suite, encoding="unicode", xml_declaration=True)


def junit_refusal(message: str) -> str:
    """JUnit XML for an artifact that could not even be replayed."""
    suite = _junit_suite(tests=1, failures=1)
    case = ElementTree.SubElement(suite, "testcase", classname="edge-ad", name="load")
    ElementTree.SubElement(case, "failure", message=shown(message))
    return ElementTree.tostring(suite, encoding="unicode", xml_declaration=True)


def verify(detector: Detector) -> VerifyReport:
    """Hash every file of the artifact, replay its reference images, and compare every stage.

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
        **vars(provenance(detector)),
        images=len(manifest.reference),
        checked_bytes=checked_bytes,
        stages=stages,
        not_checked=() if _has_regions(detector) or not _tells_regions(detector) else (REGIONS,),
    )


def _tells_regions(detector: Detector) -> bool:
    return tell_regions([member.head for member in detector.members])


def _has_regions(detector: Detector) -> bool:
    return REGIONS in detector.manifest.tolerances


@dataclass(frozen=True, kw_only=True)
class _Expected:
    """The reference's values for one image.

    Attributes:
        preprocessed: ``(H, W, 3)``.
        stages: for each member the values of its head's stages before the map, by name.
        map: the members' maps, combined.
        score: the members' scores, combined.
        score_fp32: the combined score of the float32 networks.
        anomalous: whether the score is above the threshold.
        regions: the regions as a table, see `as_table`. It is None in an artifact without them.
    """

    preprocessed: NDArray[np.uint8]
    stages: list[dict[str, NDArray[Any]]]
    map: NDArray[np.float32]
    score: float
    score_fp32: float
    anomalous: bool
    regions: NDArray[np.float64] | None


def _expected(detector: Detector) -> list[_Expected]:
    artifact, images = detector.artifact, range(len(detector.manifest.reference))
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
            stages=[
                {stage.name: values[f"{i}.{m}.{stage.name}"] for stage in own_stages(member.head)}
                for m, member in enumerate(detector.members)
            ],
            map=values[f"{i}.map"],
            score=float(values[f"{i}.score"]),
            score_fp32=float(values[f"{i}.score_fp32"]),
            anomalous=bool(values[f"{i}.anomalous"]),
            regions=values.get(f"{i}.{REGIONS}"),
        )
        for i in images
    ]


def _shapes(detector: Detector) -> dict[str, Shaped]:
    """The type and the shape of each of the reference values of one image."""
    size = detector.manifest.preprocessing.size
    return {
        "preprocessed": Shaped(np.uint8, (*size, 3)),
        "map": Shaped(np.float32, size),
        "score": Shaped(np.float64, ()),
        "score_fp32": Shaped(np.float64, ()),
        "anomalous": Shaped(np.bool_, ()),
        **({REGIONS: Shaped(np.float64, TABLE_SHAPE)} if _has_regions(detector) else {}),
        **{
            f"{m}.{stage.name}": member.head.shapes[stage.name]
            for m, member in enumerate(detector.members)
            for stage in own_stages(member.head)
        },
    }


def _differences(
    detector: Detector, reference: ReferenceImage, expected: _Expected
) -> dict[str, float]:
    """How far each stage is off, in the order of the pipeline."""
    image = detector.artifact.image(reference.file)
    preprocessed = detector.manifest.preprocessing.apply(image)
    differences = {"preprocess": _largest_level_difference(preprocessed, expected.preprocessed)}
    prediction = detector.predict(image)
    in_decades = any(member.head.in_decades for member in detector.members)
    floor = least_unit(prediction.threshold, in_decades=in_decades)
    maps = []
    for member, values in zip(detector.members, expected.stages, strict=True):
        (found,) = member.run(expected.preprocessed[np.newaxis])
        # each stage gets the reference's values of the stages before, and this device's outputs
        before = dict(found)
        for stage in own_stages(member.head):
            value = member.head.replay(stage.name, before)
            least = floor * member.record.scale if stage.in_unit_of_score else 0.0
            difference = compare(stage, value, values[stage.name], least)
            differences[stage.name] = max(difference, differences.get(stage.name, 0.0))
            before[stage.name] = values[stage.name]
        maps.append(member.head.replay(MAP.name, before))
    score, expected_score = np.asarray(prediction.score), np.asarray(expected.score)
    near = abs(expected.score - prediction.threshold) <= (
        detector.manifest.tolerances[SCORE.name] * max(abs(expected.score), floor)
    )
    flipped = expected.anomalous != (prediction.verdict == "anomalous")
    in_unit = all(member.head.map_in_unit_of_score for member in detector.members)
    least = floor if in_unit else 0.0
    differences[MAP.name] = compare(MAP, combine(maps, detector.scales), expected.map, least)
    differences[SCORE.name] = compare(SCORE, score, expected_score, floor)
    differences[VERDICT] = float(flipped and not near)
    if expected.regions is not None:
        decisive = expected.stages[0].get(SIGNIFICANCE, expected.map)
        found_regions = detector.regions(decisive, (image.shape[0], image.shape[1]))
        differences[REGIONS] = _differing(as_table(found_regions), expected.regions)
    if detector.manifest.precision_loss is not None:
        differences[PRECISION] = compare(SCORE, score, np.asarray(expected.score_fp32), floor)
    return differences


def _worst(detector: Detector, stage: str, rows: list[dict[str, float]]) -> StageCheck:
    tolerance = 0.0 if stage == VERDICT else detector.manifest.tolerances[stage]
    differences = [row[stage] for row in rows]
    at = int(np.argmax(differences))
    worst = sum(differences) if stage == VERDICT else differences[at]
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


def _differing(found: NDArray[np.float64], expected: NDArray[np.float64]) -> float:
    """The number of rows that only one of the two tables has."""
    return float(len(set(map(tuple, found.tolist())) ^ set(map(tuple, expected.tolist()))))


def _junit_suite(*, tests: int, failures: int, skipped: int = 0) -> ElementTree.Element:
    return ElementTree.Element(
        "testsuite",
        name="edge-ad verify",
        tests=str(tests),
        failures=str(failures),
        errors="0",
        skipped=str(skipped),
    )
