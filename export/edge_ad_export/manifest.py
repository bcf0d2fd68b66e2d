"""The manifest of an export: what was made, and how far a device may be from it."""

from __future__ import annotations

from pathlib import Path

import onnx

import edge_ad
from edge_ad.fitting.ensemble import Ensemble
from edge_ad_export.graph.parity import OUTPUT_TOLERANCE
from edge_ad_export.proof.reference_set import Reference
from edge_ad_export.settings import ExportConfig
from edge_ad_runtime.artifact.a_contrario_records import AContrarioRecord
from edge_ad_runtime.artifact.calibration_records import Calibration
from edge_ad_runtime.artifact.folder import hash_file
from edge_ad_runtime.artifact.head_records import HnswSearchRecord, PatchSearchRecord
from edge_ad_runtime.artifact.manifest import FILE_NAME
from edge_ad_runtime.artifact.schema import (
    SCHEMA,
    Manifest,
    Member,
    PrecisionLoss,
)
from edge_ad_runtime.heads.stages import REGIONS

# Outputs, distances and scores on another engine or processor. float32: sums in another order.
# Less than float32: a value may be rounded to a neighbour of the right one, in layer after layer.
_TOLERANCES = {
    "fp32": (OUTPUT_TOLERANCE, 1e-5, 1e-4),
    "fp16": (0.005, 0.002, 0.002),
    "bf16": (0.05, 0.02, 0.02),
    "int8": (0.05, 0.02, 0.02),
}
_MOST = 0.1  # what heads allow for these
# Decades are evidence minus what it is paid with, each of which is many times larger than the rest.
# A tolerance of 0.01 is then a hundredth of a decade: 2% of a number of false alarms.
_OF_DECADES = 10


def write_manifest(
    folder: Path,
    ensemble: Ensemble,
    members: list[Member],
    calibration: Calibration,
    loss: PrecisionLoss | None,
    config: ExportConfig,
    references: list[Reference],
    amplification: float,
) -> None:
    """Write the manifest over all files that are in ``folder``, sealed.

    ``amplification`` is the largest of what `edge_ad.methods.Lowered` says of the members.
    """
    first = ensemble.members[0]
    manifest = Manifest(
        schema=SCHEMA,
        engine=config.engine,
        preprocessing=first.config.preprocessing,
        members=tuple(members),
        calibration=calibration,
        tolerances=_tolerances(members, references, loss, config, amplification),
        precision_loss=loss,
        reference=tuple(reference.entry for reference in references),
        versions={
            **first.record.versions,
            "onnx": onnx.__version__,
            "edge_ad": edge_ad.__version__,
        },
        files={
            path.relative_to(folder).as_posix(): hash_file(path)
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        },
    ).sealed()
    (folder / FILE_NAME).write_text(manifest.to_text(), encoding="utf-8")


def _tolerances(
    members: list[Member],
    references: list[Reference],
    loss: PrecisionLoss | None,
    config: ExportConfig,
    amplification: float,
) -> dict[str, float]:
    """How far a device may be from the reference at each stage, in the order of the pipeline.

    A stage that is one of the network's outputs may be as far off as these. The others are computed
    from what the reference says of them.
    """
    outputs, later, score = _TOLERANCES[config.precision]
    patch_searches = [m.head.search for m in members if isinstance(m.head, PatchSearchRecord)]
    if any(isinstance(search, HnswSearchRecord) for search in patch_searches):
        # the map tolerance is a mean over images, and a single image may be farther off
        later += 10 * config.map_tolerance
    if any(isinstance(member.head, AContrarioRecord) for member in members):
        score *= _OF_DECADES
    outputs, score = (min(amplification * each, _MOST) for each in (outputs, score))
    tolerances = {"preprocess": 1.0}  # OpenCV rounds halves differently on other processors
    for member, trace in zip(members, references[0].traces, strict=True):
        given = member.network.outputs
        own = [stage for stage in trace if stage not in ("map", "score")]
        tolerances |= {stage: outputs if stage in given else later for stage in own}
    tolerances |= {"map": 1e-4, "score": score}
    if references[0].regions is not None:
        tolerances[REGIONS] = 0.0  # found in the reference's own map, so without any rounding
    if loss is not None:
        tolerances["precision"] = score + loss.score_worst
    return tolerances
