"""`export`: compile a fitted detector, prove it, and only then put the artifact in place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from edge_ad.fitting.ensemble import Ensemble, join
from edge_ad.fitting.fitted import FittedDetector
from edge_ad_export.compiled_network import (
    CompiledNetwork,
    compile_network,
    learning_engine,
    with_rows,
)
from edge_ad_export.manifest import write_manifest
from edge_ad_export.member import describe_search, write_member
from edge_ad_export.precision.loss import describe, measure_loss
from edge_ad_export.precision.target import check_target
from edge_ad_export.proof.reference_set import make_references, write_references
from edge_ad_export.report import ExportReport
from edge_ad_export.search.index import IndexBuilder
from edge_ad_export.settings import ExportConfig
from edge_ad_runtime.artifact.atomic import ARTIFACT, atomic_folder, check_free
from edge_ad_runtime.artifact.schema import (
    PrecisionLoss,
)
from edge_ad_runtime.detector import Detector
from edge_ad_runtime.engines.tensorrt.cuda import Gpu
from edge_ad_runtime.errors import EngineError, ExportError
from edge_ad_runtime.progress import ProgressBar
from edge_ad_runtime.proof.compiled import compile_plans
from edge_ad_runtime.proof.verify import VerifyReport, verify


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
        fitted: a fit from `edge_ad.fit` or `FittedDetector.load`. Several become an ensemble, see
            `edge_ad.fitting.ensemble`.
        out_path: the artifact's folder, ``NAME.edgead``.
        config: the settings. None takes the defaults.
        overwrite: replace an existing artifact.
        progress: show the steps on stderr.

    Raises:
        ConfigError: ``out_path`` exists, there is no threshold, or the fits are no ensemble.
        ParityError: an exported network differs from the trained one.
        ExportError: the artifact cannot be written, does not verify, or this processor cannot learn
            an int8 network of 8-bit weights.
        EngineError: the engine is not installed. Or the engine is TensorRT, there is a GPU, and no
            plan can be made for it: the artifact is then there, without a plan.
    """
    out_path, config = Path(out_path), config or ExportConfig()
    inputs = [config.labelled] if config.labelled else []
    check_free(out_path, overwrite=overwrite, kind=ARTIFACT, inputs=inputs)
    check_target(config)
    members = [fitted] if isinstance(fitted, FittedDetector) else list(fitted)
    exact = join([with_rows(member, config) for member in members])
    exact.calibration(config.threshold)  # refused before the long work
    with (
        ProgressBar[None](
            total=2 * len(members) + 2, desc="export", unit="step", disable=not progress
        ) as steps,
        atomic_folder(out_path, overwrite=overwrite, kind=ARTIFACT, inputs=inputs) as folder,
    ):
        with IndexBuilder(folder) as indexes:
            networks = []
            for number, member in enumerate(exact.members, start=1):
                steps.begin(_named("network to ONNX", number, members))
                networks.append(compile_network(member, config, indexes, progress=progress))
                steps.update()
            steps.begin("reference values")
            ensemble, loss = exact, None
            if config.precision != "fp32":
                ensemble = join([network.fitted for network in networks])
                loss = _tolerable_loss(exact, ensemble, networks, config, progress=progress)
            calibration = ensemble.calibration(config.threshold)
            references = make_references(ensemble, networks, exact, calibration.threshold, config)
            steps.update()
            entries = []
            for i, network in enumerate(networks):
                steps.begin(_named("search index", i + 1, members))
                entries.append(
                    write_member(folder, ensemble, i, network, references, config, indexes)
                )
                steps.update()
        steps.begin("proof: replaying the references")
        write_references(folder, references)
        amplification = max(network.lowered.amplification for network in networks)
        write_manifest(
            folder, ensemble, entries, calibration, loss, config, references, amplification
        )
        verification = _verify(folder, out_path, config)
        steps.update()
    return ExportReport(
        path=out_path,
        size_bytes=verification.checked_bytes,
        output_difference=max(network.difference for network in networks),
        networks=tuple(network.made for network in networks),
        searches=tuple(filter(None, map(describe_search, entries))),
        precision_loss=loss,
        plans=_compile_here(out_path, config),
        verification=verification,
    )


def _named(step: str, number: int, members: Sequence[FittedDetector]) -> str:
    return step if len(members) == 1 else f"{step} of member {number}"


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
        ExportError: it costs more than is tolerated, and the settings do not accept that.
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


def _verify(folder: Path, out_path: Path, config: ExportConfig) -> VerifyReport:
    with Detector.load(folder, engine=learning_engine(config)) as detector:
        report = verify(detector)
    if (failure := report.first_failure) is not None:
        raise ExportError(
            f"{out_path}: not written, it does not verify on this machine: {failure.stage} is "
            f"off by {failure.worst_difference:.2g}, {failure.tolerance:g} is allowed"
        )
    return replace(report, artifact=out_path.name)
