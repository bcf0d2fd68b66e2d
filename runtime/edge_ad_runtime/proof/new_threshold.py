"""An artifact with another threshold: copied, sealed and proven again, without the workshop.

Networks, banks and reference images stay byte for byte what they were. The threshold is in the
manifest, and the reference values that depend on it are made anew from the reference's own scores
and maps.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ad_runtime import __version__
from edge_ad_runtime.artifact.a_contrario_records import AContrarioRecord
from edge_ad_runtime.artifact.atomic import ARTIFACT, atomic_folder
from edge_ad_runtime.artifact.calibration_records import Calibration
from edge_ad_runtime.artifact.folder import REFERENCE_VALUES, Artifact, hash_file
from edge_ad_runtime.artifact.manifest import FILE_NAME
from edge_ad_runtime.artifact.npy import Shaped, exchanged_npz, parse_npz
from edge_ad_runtime.artifact.schema import SCHEMA, Manifest
from edge_ad_runtime.artifact.words import EngineChoice
from edge_ad_runtime.decision.regions import as_table, find_regions
from edge_ad_runtime.detector import Detector
from edge_ad_runtime.errors import ArtifactError, ConfigError, EdgeADError, ExportError
from edge_ad_runtime.heads import MAP, SIGNIFICANCE
from edge_ad_runtime.heads.stages import REGIONS
from edge_ad_runtime.proof.verify import VerifyReport, verify

_MADE_WITH = "edge_ad_runtime"


def write_with_threshold(
    artifact: Artifact,
    calibration: Calibration,
    out: Path,
    *,
    engine: EngineChoice = "auto",
    threads: int | None = None,
    overwrite: bool = False,
) -> VerifyReport:
    """Write a copy of an artifact with another threshold, atomically.

    The copy is replayed (`verify`) before it gets its name. Plans of TensorRT go with it, because
    they depend on the networks alone. What ``edge-ad tune`` has found stays behind, because it is
    bound to the artifact that was measured. A copy of an artifact of schema 3 is of schema 4.

    Args:
        artifact: the artifact to copy.
        calibration: the new threshold and what it is worth, see
            `edge_ad_runtime.decision.calibration`.
        out: the folder of the copy, ``NAME.edgead``.
        engine: the engine that the copy is proven with. ``auto`` is the one of the artifact.
        threads: the CPU threads for that. None means all cores.
        overwrite: whether another artifact that has this name may be replaced.

    Returns:
        What `verify` has found.

    Raises:
        ConfigError: ``out`` exists, or the artifact's scores can have no such threshold.
        ArtifactError: a file of the artifact is missing or damaged.
        ExportError: the copy cannot be written, or does not verify.
    """
    inputs = [artifact.folder]
    with atomic_folder(out, overwrite=overwrite, kind=ARTIFACT, inputs=inputs) as partial:
        for name in artifact.manifest.files:
            (partial / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(artifact.file(name), partial / name)
        values = _values_at(artifact, calibration.threshold)
        (partial / REFERENCE_VALUES).write_bytes(values)
        manifest = _manifest(artifact.manifest, calibration, partial)
        (partial / FILE_NAME).write_text(manifest.to_text(), encoding="utf-8")
        _copy_plans(artifact, partial)
        report = _prove(partial, out, engine=engine, threads=threads)
    return replace(report, artifact=out.name)


def _values_at(artifact: Artifact, threshold: float) -> bytes:
    """The content of the reference values, of which those that need the threshold are new."""
    manifest = artifact.manifest
    decisive = _decisive(manifest)
    shapes = {"score": Shaped(np.float64, ())}
    if decisive is not None:
        shapes[decisive] = Shaped(np.float32, manifest.preprocessing.size)
    images = range(len(manifest.reference))
    expected = {f"{i}.{name}": shaped for i in images for name, shaped in shapes.items()}
    try:
        content = artifact.read(REFERENCE_VALUES)
        known = parse_npz(content, expected)
        new: dict[str, NDArray[Any]] = {}
        for i, reference in enumerate(manifest.reference):
            new[f"{i}.anomalous"] = np.asarray(float(known[f"{i}.score"]) > threshold)
            if decisive is not None:
                shape = artifact.image(reference.file).shape
                placement = manifest.preprocessing.placement((shape[0], shape[1]))
                regions = find_regions(known[f"{i}.{decisive}"], threshold, placement)
                new[f"{i}.{REGIONS}"] = as_table(regions)
        return exchanged_npz(content, new)
    except ValueError as exc:
        path = artifact.folder / REFERENCE_VALUES
        raise ArtifactError(f"not the reference values: {exc}; export again", path=path) from exc


def _decisive(manifest: Manifest) -> str | None:
    """The reference value in which regions are looked for, or None if the artifact has none."""
    if REGIONS not in manifest.tolerances:
        return None
    head = manifest.members[0].head
    return f"0.{SIGNIFICANCE}" if isinstance(head, AContrarioRecord) else MAP.name


def _manifest(before: Manifest, calibration: Calibration, folder: Path) -> Manifest:
    files = {**before.files, REFERENCE_VALUES: hash_file(folder / REFERENCE_VALUES)}
    try:
        return replace(
            before,
            schema=SCHEMA,
            calibration=calibration,
            versions={**before.versions, _MADE_WITH: __version__},
            files=files,
        ).sealed()
    except ValueError as exc:
        raise ConfigError(f"this artifact cannot have such a threshold: {exc}") from exc


def _copy_plans(artifact: Artifact, folder: Path) -> None:
    plans = [path for path in sorted(artifact.plans.glob("*.plan")) if path.is_file()]
    if plans:
        copies = folder / artifact.plans.name
        copies.mkdir()
        for plan in plans:
            shutil.copyfile(plan, copies / plan.name)


def _prove(folder: Path, out: Path, *, engine: EngineChoice, threads: int | None) -> VerifyReport:
    """Verify the copy. Messages name it as the user does, and not the temporary folder."""
    try:
        with Detector.load(folder, engine=engine, threads=threads) as detector:
            report = verify(detector)
    except EdgeADError as exc:
        reason = str(exc).replace(str(folder), str(out)).removeprefix(f"{out}: ")
        raise ExportError(f"{out}: not written: {reason}") from exc
    if (failure := report.first_failure) is not None:
        raise ExportError(
            f"{out}: not written, it does not verify on this machine: {failure.stage} is off by "
            f"{failure.worst_difference:.2g}, {failure.tolerance:g} is allowed; verify the "
            "artifact that it was made from here too"
        )
    return report
