"""`export`: compile a fitted detector, prove it, and only then put the artifact in place."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
from tqdm import tqdm

import edge_ad
from edge_ad.atomic import atomic_folder, check_free
from edge_ad.calibrate import given_threshold
from edge_ad.features import PatchFeatures, extract, restore_network
from edge_ad.fitted import FittedDetector
from edge_ad_export.config import ExportConfig, ExportReport
from edge_ad_export.onnx_graph import FEATURE_TOLERANCE, check_parity, to_onnx
from edge_ad_export.reference_set import Reference, make_references, write_references
from edge_ad_export.search_choice import Queries, choose_search
from edge_ad_runtime import artifact as files
from edge_ad_runtime.artifact import hash_file
from edge_ad_runtime.detector import Detector
from edge_ad_runtime.errors import ExportError
from edge_ad_runtime.manifest import (
    FILE_NAME,
    SCHEMA,
    Calibration,
    Manifest,
    Network,
    SearchSettings,
    Tolerances,
)
from edge_ad_runtime.verify import VerifyReport, verify

_HELD_OUT_QUERIES = 16


def export(
    fitted: FittedDetector,
    out_path: Path | str,
    config: ExportConfig | None = None,
    *,
    overwrite: bool = False,
    progress: bool = False,
) -> ExportReport:
    """Write the artifact ``out_path`` atomically.

    The artifact is replayed with the runtime (`verify`) before it gets its name: what cannot be
    proven here is never there to be deployed.

    Args:
        fitted: from `edge_ad.fit` or `FittedDetector.load`.
        out_path: ``NAME.edgead``.
        config: the settings; None: the defaults.
        overwrite: replace an existing artifact.
        progress: show the steps on stderr.

    Raises:
        ConfigError: ``out_path`` exists, or there is no threshold.
        ParityError: the exported network differs from the trained one.
        ExportError: it cannot be written, or does not verify.
    """
    out_path, config = Path(out_path), config or ExportConfig()
    check_free(out_path, overwrite=overwrite)
    calibration = _calibration(fitted, config)
    network = restore_network(fitted.config, fitted.backbone)
    with tqdm(total=4, desc="export", unit="step", disable=not progress) as steps:
        graph = to_onnx(network, fitted.config.size)
        difference = check_parity(network, graph, fitted.held_out)
        steps.update()
        with atomic_folder(out_path, overwrite=overwrite) as folder:
            references = make_references(fitted, config)
            search = _write_search(folder, fitted, network, references, config)
            steps.update()
            (folder / files.GRAPH).write_bytes(graph)
            write_references(folder, references, calibration.threshold)
            manifest = _manifest(fitted, search, calibration, config, references, folder)
            (folder / FILE_NAME).write_text(manifest.to_text(), encoding="utf-8")
            steps.update()
            verification = _verify(folder, out_path)
            steps.update()
    return ExportReport(
        path=out_path,
        size_bytes=verification.checked_bytes,
        feature_difference=difference,
        search=search,
        verification=verification,
    )


def _calibration(fitted: FittedDetector, config: ExportConfig) -> Calibration:
    if config.threshold is None:
        return fitted.calibration
    return given_threshold(fitted.held_out_scores, config.threshold)


def _write_search(
    folder: Path,
    fitted: FittedDetector,
    network: PatchFeatures,
    references: list[Reference],
    config: ExportConfig,
) -> SearchSettings:
    bank = fitted.bank
    np.save(folder / files.BANK, bank.features, allow_pickle=False)
    if bank.neighbours is not None:
        np.save(folder / files.BANK_NEIGHBOURS, bank.neighbours, allow_pickle=False)
    queries = _queries(fitted, network, references)
    scoring = fitted.config.scoring
    return choose_search(bank.features, queries, scoring, config, folder / files.INDEX)


def _queries(
    fitted: FittedDetector, network: PatchFeatures, references: list[Reference]
) -> Queries:
    """Patch features of the reference images, damaged ones too, and of held-out images."""
    held_out = fitted.held_out[:_HELD_OUT_QUERIES]
    features = [reference.trace.features for reference in references]
    features += [extract(network, image[np.newaxis])[0] for image in held_out]
    return [patches.reshape(-1, fitted.record.dimension) for patches in features]


def _manifest(
    fitted: FittedDetector,
    search: SearchSettings,
    calibration: Calibration,
    config: ExportConfig,
    references: list[Reference],
    folder: Path,
) -> Manifest:
    settings, record = fitted.config, fitted.record
    return Manifest(
        schema=SCHEMA,
        method="patchcore",
        head="patch-search",
        preprocessing=settings.preprocessing,
        network=Network(
            backbone=settings.backbone,
            weights=_weights_name(settings.weights),
            weights_sha256=record.weights_sha256,
            layers=settings.layers,
            patch_size=settings.patch_size,
            grid=record.grid,
            dimension=record.dimension,
        ),
        scoring=settings.scoring,
        search=search,
        calibration=calibration,
        tolerances=Tolerances(
            preprocess_levels=1,  # OpenCV rounds halves differently on other processors
            features=FEATURE_TOLERANCE,
            distances=1e-4 if search.kind == "exact" else config.map_tolerance,
            map=1e-4,
            score=1e-4,
        ),
        reference=tuple(reference.entry for reference in references),
        versions={**record.versions, "onnx": onnx.__version__, "edge_ad": edge_ad.__version__},
        files={
            path.relative_to(folder).as_posix(): hash_file(path)
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        },
    ).sealed()


def _weights_name(weights: str) -> str:
    """``imagenet``, ``untrained`` or a file's name: folders of the workshop stay there."""
    return Path(weights).name


def _verify(folder: Path, out_path: Path) -> VerifyReport:
    report = verify(Detector.load(folder))
    if (failure := report.first_failure) is not None:
        raise ExportError(
            f"{out_path}: not written, it does not verify on this machine: {failure.stage} is "
            f"off by {failure.worst_difference:.2g}, {failure.tolerance:g} is allowed"
        )
    return replace(report, artifact=out_path.name)
