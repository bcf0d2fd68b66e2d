"""`export`: compile a fitted detector, prove it, and only then put the artifact in place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
from tqdm import tqdm

import edge_ad
from edge_ad.fitting.ensemble import Ensemble, join
from edge_ad.fitting.fitted import FittedDetector
from edge_ad_export.compiled_network import (
    CompiledNetwork,
    compile_network,
    learning_engine,
    with_rows,
)
from edge_ad_export.graph.appended import appended
from edge_ad_export.graph.parity import OUTPUT_TOLERANCE
from edge_ad_export.precision.loss import describe, measure_loss
from edge_ad_export.precision.target import check_target
from edge_ad_export.proof.reference_set import Reference, make_references, write_references
from edge_ad_export.report import ExportReport
from edge_ad_export.search import compile_search
from edge_ad_export.settings import ExportConfig
from edge_ad_runtime.artifact.atomic import ARTIFACT, atomic_folder, check_free
from edge_ad_runtime.artifact.folder import GRAPH, hash_file
from edge_ad_runtime.artifact.head_records import HnswSearchRecord, PatchSearchRecord
from edge_ad_runtime.artifact.manifest import FILE_NAME
from edge_ad_runtime.artifact.schema import (
    SCHEMA,
    Calibration,
    Manifest,
    Member,
    NetworkRecord,
    Output,
    PrecisionLoss,
)
from edge_ad_runtime.detector import Detector
from edge_ad_runtime.engines import Graph, open_engine
from edge_ad_runtime.engines.tensorrt.cuda import Gpu
from edge_ad_runtime.errors import EngineError, ExportError
from edge_ad_runtime.proof.compiled import compile_plans
from edge_ad_runtime.proof.verify import VerifyReport, verify

# Outputs, distances and scores on another engine or processor. float32: sums in another order.
# Less: a value may be rounded to the next of the few there are, and so on through the layers.
_TOLERANCES = {
    "fp32": (OUTPUT_TOLERANCE, 1e-5, 1e-4),
    "fp16": (0.005, 0.002, 0.002),
    "bf16": (0.05, 0.02, 0.02),
    "int8": (0.05, 0.02, 0.02),
}


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
        output_difference=max(network.difference for network in networks),
        networks=tuple(network.made for network in networks),
        searches=tuple(_search(entry) for entry in entries if _search(entry)),
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
    lowered = [network.lowered for network in networks]
    loss = measure_loss(exact, ensemble, lowered, runs, config, progress=progress)
    if loss.score_mean > config.loss_tolerance and not config.accept_loss:
        raise ExportError(
            f"{config.precision} moves scores by {loss.score_mean:.2%} on average, "
            f"{config.loss_tolerance:.2%} is tolerated ({describe(loss)}); choose another "
            "--precision, raise --loss-tolerance, or --accept-loss"
        )
    return loss


def _search(member: Member) -> str:
    """What the member searches with and why, for people; empty if it does not search."""
    if not isinstance(member.head, PatchSearchRecord):
        return ""
    return f"{member.head.search.kind}: {member.head.search.reason}"


def _write_member(
    artifact: Path,
    ensemble: Ensemble,
    i: int,
    network: CompiledNetwork,
    references: list[Reference],
    config: ExportConfig,
) -> Member:
    """Write the files of one network; gives its part of the manifest."""
    name = "" if len(ensemble.members) == 1 else f"member-{i + 1}"
    folder = artifact / name
    folder.mkdir(exist_ok=True)
    traces = [reference.traces[i] for reference in references]
    graph, tail = network.onnx, network.lowered.tail
    if tail is not None:
        graph = appended(graph, tail)
    compiled = compile_search(
        network.fitted, network.lowered, graph, network.run, traces, config, folder
    )
    (folder / GRAPH).write_bytes(compiled.onnx)
    for file, values in compiled.arrays.items():
        np.save(folder / file, values, allow_pickle=False)
    return Member(
        folder=name,
        scale=ensemble.scales[i],
        network=NetworkRecord(
            file=GRAPH,
            precision=config.precision,
            outputs=_outputs(compiled.onnx, network.fitted.config.size, config),
            origin=dict(network.lowered.origin),
            quantised_for=config.target if config.precision == "int8" else None,
        ),
        head=compiled.head,
    )


def _outputs(onnx_bytes: bytes, size: tuple[int, int], config: ExportConfig) -> dict[str, Output]:
    """What the graph gives, found by running it once."""
    graph = Graph(onnx=onnx_bytes, precision=config.precision)
    engine = open_engine(learning_engine(config), graph)
    found = engine.run(np.zeros((1, *size, 3), np.uint8))
    engine.close()
    return {
        name: Output(shape=value.shape[1:], dtype=value.dtype.name)  # type: ignore[arg-type]
        for name, value in found.items()
    }


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
    return Manifest(
        schema=SCHEMA,
        engine=config.engine,
        preprocessing=first.config.preprocessing,
        members=tuple(members),
        calibration=calibration,
        tolerances=_tolerances(members, references, loss, config),
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


def _tolerances(
    members: list[Member],
    references: list[Reference],
    loss: PrecisionLoss | None,
    config: ExportConfig,
) -> dict[str, float]:
    """By stage, in the order of the pipeline.

    The first stage of a head is what the network gives; those after it are computed from that.
    """
    outputs, later, score = _TOLERANCES[config.precision]
    searched = [m.head.search for m in members if isinstance(m.head, PatchSearchRecord)]
    if any(isinstance(search, HnswSearchRecord) for search in searched):
        # the map tolerance is a mean over images; a single one may be farther off
        later += 10 * config.map_tolerance
    tolerances = {"preprocess": 1.0}  # OpenCV rounds halves differently on other processors
    for trace in references[0].traces:
        first, *others = [stage for stage in trace if stage not in ("map", "score")]
        tolerances |= {first: outputs, **dict.fromkeys(others, later)}
    tolerances |= {"map": 1e-4, "score": score}
    if loss is not None:
        tolerances["precision"] = score + loss.score_worst
    return tolerances


def _verify(folder: Path, out_path: Path, config: ExportConfig) -> VerifyReport:
    with Detector.load(folder, engine=learning_engine(config)) as detector:
        report = verify(detector)
    if (failure := report.first_failure) is not None:
        raise ExportError(
            f"{out_path}: not written, it does not verify on this machine: {failure.stage} is "
            f"off by {failure.worst_difference:.2g}, {failure.tolerance:g} is allowed"
        )
    return replace(report, artifact=out_path.name)
