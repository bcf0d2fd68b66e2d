"""`export`: compile a fitted detector, prove it, and only then put the artifact in place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
from tqdm import tqdm

import edge_ad
from edge_ad.features.patches import Run
from edge_ad.fitting.ensemble import Ensemble, join
from edge_ad.fitting.fitted import FittedDetector
from edge_ad.methods.patchcore.reference import Trace
from edge_ad_export.graph.network import (
    CompiledNetwork,
    compile_network,
    learning_engine,
    with_rows,
)
from edge_ad_export.graph.onnx_graph import FEATURE_TOLERANCE
from edge_ad_export.graph.search_in_graph import with_search
from edge_ad_export.precision.int8 import check_target
from edge_ad_export.precision.loss import describe, measure_loss
from edge_ad_export.proof.reference_set import Reference, make_references, write_references
from edge_ad_export.search.choice import Queries, choose_search
from edge_ad_export.settings import ExportConfig, ExportReport
from edge_ad_runtime.artifact import folder as files
from edge_ad_runtime.artifact.atomic import ARTIFACT, atomic_folder, check_free
from edge_ad_runtime.artifact.folder import hash_file
from edge_ad_runtime.artifact.manifest import (
    FILE_NAME,
    SCHEMA,
    Calibration,
    Manifest,
    Member,
    Network,
    PrecisionLoss,
    Tolerances,
)
from edge_ad_runtime.detector import Detector
from edge_ad_runtime.engines.tensorrt.cuda import Gpu
from edge_ad_runtime.errors import EngineError, ExportError
from edge_ad_runtime.proof.compiled import compile_plans
from edge_ad_runtime.proof.verify import VerifyReport, verify

_HELD_OUT_QUERIES = 8
# Features, distances and scores on another engine or processor. float32: sums in another order.
# Less: a value may be rounded to the next of the few there are, and so on through the layers.
_TOLERANCES = {
    "fp32": (FEATURE_TOLERANCE, 1e-5, 1e-4),
    "fp16": (0.005, 0.002, 0.002),
    "bf16": (0.05, 0.02, 0.02),
    "int8": (0.05, 0.02, 0.02),
}
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
            `edge_ad.fitting.ensemble`.
        out_path: ``NAME.edgead``.
        config: the settings; None: the defaults.
        overwrite: replace an existing artifact.
        progress: show the steps on stderr.

    Raises:
        ConfigError: ``out_path`` exists, there is no threshold, or the fits are no ensemble.
        ParityError: an exported network differs from the trained one.
        ExportError: it cannot be written, does not verify, or this processor cannot learn an int8
            network of 8-bit weights.
        EngineError: the engine is not installed; or it is TensorRT, there is a GPU, and no plan can
            be made for it: the artifact is there, without one.
    """
    out_path, config = Path(out_path), config or ExportConfig()
    inputs = [config.labelled] if config.labelled else []
    check_free(out_path, overwrite=overwrite, kind=ARTIFACT, inputs=inputs)
    check_target(config)
    members = [fitted] if isinstance(fitted, FittedDetector) else list(fitted)
    exact = join([with_rows(member, config) for member in members])
    exact.calibration(config.threshold)  # refused before the long work
    with (
        tqdm(total=2 * len(members) + 2, desc="export", unit="step", disable=not progress) as steps,
        atomic_folder(out_path, overwrite=overwrite, kind=ARTIFACT, inputs=inputs) as folder,
    ):
        networks = []
        for member in exact.members:
            networks.append(compile_network(member, config, progress=progress))
            steps.update()
        ensemble, loss = exact, None
        if config.precision != "fp32":
            ensemble = join([network.fitted for network in networks])
            loss = _tolerable_loss(exact, ensemble, networks, config, progress=progress)
        calibration = ensemble.calibration(config.threshold)
        runs = [network.run for network in networks]
        references = make_references(ensemble, runs, exact, config)
        steps.update()
        entries = []
        for i in range(len(networks)):
            entries.append(_write_member(folder, ensemble, i, networks[i], references, config))
            steps.update()
        write_references(folder, references, calibration.threshold)
        manifest = _manifest(ensemble, entries, calibration, loss, config, references, folder)
        (folder / FILE_NAME).write_text(manifest.to_text(), encoding="utf-8")
        verification = _verify(folder, out_path, config)
        steps.update()
    return ExportReport(
        path=out_path,
        size_bytes=verification.checked_bytes,
        feature_difference=max(network.difference for network in networks),
        networks=tuple(network.made for network in networks),
        searches=tuple(entry.search for entry in entries),
        precision_loss=loss,
        plans=_compile_here(out_path, config),
        verification=verification,
    )


def _compile_here(out_path: Path, config: ExportConfig) -> tuple[str, ...]:
    """Plans for this machine's GPU, if that is what the artifact is for and there is one."""
    if config.engine != "tensorrt":
        return ()
    try:
        Gpu()
    except EngineError:
        return ()
    return compile_plans(out_path).plans


def _tolerable_loss(
    exact: Ensemble,
    ensemble: Ensemble,
    networks: list[CompiledNetwork],
    config: ExportConfig,
    *,
    progress: bool,
) -> PrecisionLoss:
    """What the precision costs.

    Raises:
        ExportError: more than is tolerated, and nobody has accepted that.
    """
    runs = [network.run for network in networks]
    loss = measure_loss(exact, ensemble, runs, config, progress=progress)
    if loss.score_mean > config.loss_tolerance and not config.accept_loss:
        raise ExportError(
            f"{config.precision} moves scores by {loss.score_mean:.2%} on average, "
            f"{config.loss_tolerance:.2%} is tolerated ({describe(loss)}); choose another "
            "--precision, raise --loss-tolerance, or --accept-loss"
        )
    return loss


def _write_member(
    artifact: Path,
    ensemble: Ensemble,
    i: int,
    network: CompiledNetwork,
    references: list[Reference],
    config: ExportConfig,
) -> Member:
    """Write the files of one network; gives its part of the manifest."""
    fitted = ensemble.members[i]
    settings, record, bank = fitted.config, fitted.record, fitted.bank
    name = "" if len(ensemble.members) == 1 else f"member-{i + 1}"
    folder = artifact / name
    folder.mkdir(exist_ok=True)
    in_graph = config.search == "graph"
    if in_graph and bank.features.nbytes > _LARGEST_IN_GRAPH_BYTES:
        raise ExportError(
            f"a bank of {bank.features.nbytes / 1e9:.1f} GB does not fit into a graph (2 GB at "
            "most); fit with a smaller --coreset-fraction, or export with another --search"
        )
    graph = network.onnx
    if in_graph:
        graph = with_search(graph, bank.features, settings.neighbours)
    (folder / files.GRAPH).write_bytes(graph)
    rows = bank.features.astype(config.bank_precision)
    np.save(folder / files.BANK, rows, allow_pickle=False)
    if bank.neighbours is not None:
        np.save(folder / files.BANK_NEIGHBOURS, bank.neighbours, allow_pickle=False)
    queries = _queries(fitted, network.run, [reference.traces[i] for reference in references])
    search = choose_search(bank.features, queries, settings.scoring, record.grid, config, folder)
    return Member(
        folder=name,
        bank_precision=config.bank_precision,
        network=Network(
            backbone=settings.resolved_backbone,
            precision=config.precision,
            quantised_for=config.target if config.precision == "int8" else None,
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


def _queries(fitted: FittedDetector, run: Run, traces: list[Trace]) -> Queries:
    """Patch features of the reference images, damaged ones too, and of held-out images."""
    held_out = fitted.held_out[:_HELD_OUT_QUERIES]
    features = [trace.features for trace in traces]
    features += [run(image[np.newaxis])[0] for image in held_out]
    return [patches.reshape(-1, fitted.record.dimension) for patches in features]


def _manifest(
    ensemble: Ensemble,
    members: list[Member],
    calibration: Calibration,
    loss: PrecisionLoss | None,
    config: ExportConfig,
    references: list[Reference],
    folder: Path,
) -> Manifest:
    first = ensemble.members[0]
    exact = all(member.search.kind != "hnsw" for member in members)
    features, distances, score = _TOLERANCES[config.precision]
    return Manifest(
        schema=SCHEMA,
        method="patchcore",
        head="patch-search",
        engine=config.engine,
        preprocessing=first.config.preprocessing,
        members=tuple(members),
        calibration=calibration,
        tolerances=Tolerances(
            preprocess_levels=1,  # OpenCV rounds halves differently on other processors
            features=features,
            # the map tolerance is a mean over images; a single one may be farther off
            distances=distances if exact else distances + 10 * config.map_tolerance,
            map=1e-4,
            score=score,
            precision=score + loss.score_worst if loss else 0.0,
        ),
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


def _weights_name(weights: str) -> str:
    """``imagenet``, ``untrained`` or a file's name: folders of the workshop stay there."""
    return Path(weights).name


def _verify(folder: Path, out_path: Path, config: ExportConfig) -> VerifyReport:
    report = verify(Detector.load(folder, engine=learning_engine(config)))
    if (failure := report.first_failure) is not None:
        raise ExportError(
            f"{out_path}: not written, it does not verify on this machine: {failure.stage} is "
            f"off by {failure.worst_difference:.2g}, {failure.tolerance:g} is allowed"
        )
    return replace(report, artifact=out_path.name)
