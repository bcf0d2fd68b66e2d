"""`export`: compile a fitted detector, prove it, and only then put the artifact in place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
from tqdm import tqdm

import edge_ad
from edge_ad.atomic import atomic_folder, check_free
from edge_ad.ensemble import Ensemble, join
from edge_ad.features import PatchFeatures, extract, restore_network
from edge_ad.fitted import FittedDetector
from edge_ad.reference import Trace
from edge_ad_export.config import ExportConfig, ExportReport
from edge_ad_export.graph_search import SearchingFeatures
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
    Member,
    Network,
    Tolerances,
)
from edge_ad_runtime.verify import VerifyReport, verify

_HELD_OUT_QUERIES = 8
_LARGEST_IN_GRAPH_BYTES = 1_800_000_000  # ONNX is protobuf, which ends at 2 GiB


def export(
    fitted: FittedDetector | Sequence[FittedDetector],
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
        fitted: from `edge_ad.fit` or `FittedDetector.load`; several: an ensemble, see
            `edge_ad.ensemble`.
        out_path: ``NAME.edgead``.
        config: the settings; None: the defaults.
        overwrite: replace an existing artifact.
        progress: show the steps on stderr.

    Raises:
        ConfigError: ``out_path`` exists, there is no threshold, or the fits are no ensemble.
        ParityError: an exported network differs from the trained one.
        ExportError: it cannot be written, or does not verify.
    """
    out_path, config = Path(out_path), config or ExportConfig()
    check_free(out_path, overwrite=overwrite)
    members = [fitted] if isinstance(fitted, FittedDetector) else list(fitted)
    if config.bank_precision == "float16":
        members = [_with_half_rows(member) for member in members]
    ensemble = join(members)
    calibration = ensemble.calibration(config.threshold)
    count = len(ensemble.members)
    with (
        tqdm(total=count + 2, desc="export", unit="step", disable=not progress) as steps,
        atomic_folder(out_path, overwrite=overwrite) as folder,
    ):
        references = make_references(ensemble, config)
        steps.update()
        entries, differences = [], []
        for i in range(count):
            entry, difference = _write_member(folder, ensemble, i, references, config)
            entries.append(entry)
            differences.append(difference)
            steps.update()
        write_references(folder, references, calibration.threshold)
        manifest = _manifest(ensemble, entries, calibration, config, references, folder)
        (folder / FILE_NAME).write_text(manifest.to_text(), encoding="utf-8")
        verification = _verify(folder, out_path)
        steps.update()
    return ExportReport(
        path=out_path,
        size_bytes=verification.checked_bytes,
        feature_difference=max(differences),
        searches=tuple(entry.search for entry in entries),
        verification=verification,
    )


def _with_half_rows(fitted: FittedDetector) -> FittedDetector:
    """The same with a bank that half precision holds exactly: the truth from here on.

    Raises:
        ExportError: a feature is too large for half precision.
    """
    with np.errstate(over="ignore"):  # told below
        rounded = fitted.bank.features.astype(np.float16).astype(np.float32)
    if not np.isfinite(rounded).all():
        raise ExportError("the bank holds features above 65504; export with float32 rows")
    return replace(fitted, bank=replace(fitted.bank, features=rounded))


def _write_member(
    artifact: Path,
    ensemble: Ensemble,
    i: int,
    references: list[Reference],
    config: ExportConfig,
) -> tuple[Member, float]:
    """Write the files of one network; gives its part of the manifest and its parity."""
    fitted = ensemble.members[i]
    settings, record, bank = fitted.config, fitted.record, fitted.bank
    name = "" if len(ensemble.members) == 1 else f"member-{i + 1}"
    folder = artifact / name
    folder.mkdir(exist_ok=True)
    network = restore_network(settings, fitted.backbone)
    in_graph = config.search == "graph"
    if in_graph and bank.features.nbytes > _LARGEST_IN_GRAPH_BYTES:
        raise ExportError(
            f"a bank of {bank.features.nbytes / 1e9:.1f} GB does not fit into a graph (2 GB at "
            "most); fit with a smaller --coreset-fraction, or export with another --search"
        )
    whole = SearchingFeatures(network, bank.features, settings.neighbours) if in_graph else network
    graph = to_onnx(whole.eval(), settings.size)
    difference = check_parity(network, graph, fitted.held_out)
    (folder / files.GRAPH).write_bytes(graph)
    rows = bank.features.astype(config.bank_precision)
    np.save(folder / files.BANK, rows, allow_pickle=False)
    if bank.neighbours is not None:
        np.save(folder / files.BANK_NEIGHBOURS, bank.neighbours, allow_pickle=False)
    queries = _queries(fitted, network, [reference.traces[i] for reference in references])
    search = choose_search(bank.features, queries, settings.scoring, record.grid, config, folder)
    member = Member(
        folder=name,
        bank_precision=config.bank_precision,
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
        scale=ensemble.scales[i],
    )
    return member, difference


def _queries(fitted: FittedDetector, network: PatchFeatures, traces: list[Trace]) -> Queries:
    """Patch features of the reference images, damaged ones too, and of held-out images."""
    held_out = fitted.held_out[:_HELD_OUT_QUERIES]
    features = [trace.features for trace in traces]
    features += [extract(network, image[np.newaxis])[0] for image in held_out]
    return [patches.reshape(-1, fitted.record.dimension) for patches in features]


def _manifest(
    ensemble: Ensemble,
    members: list[Member],
    calibration: Calibration,
    config: ExportConfig,
    references: list[Reference],
    folder: Path,
) -> Manifest:
    first = ensemble.members[0]
    exact = all(member.search.kind != "hnsw" for member in members)
    return Manifest(
        schema=SCHEMA,
        method="patchcore",
        head="patch-search",
        preprocessing=first.config.preprocessing,
        members=tuple(members),
        calibration=calibration,
        tolerances=Tolerances(
            preprocess_levels=1,  # OpenCV rounds halves differently on other processors
            features=FEATURE_TOLERANCE,
            # the map tolerance is a mean over images; a single one may be farther off
            distances=1e-5 if exact else 10 * config.map_tolerance,
            map=1e-4,
            score=1e-4,
        ),
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
