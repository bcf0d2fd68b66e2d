"""Compile an artifact's networks with TensorRT. The plans go to ``engines/``, the rest stays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from edge_ad_runtime.artifact.atomic import flush, scratch_folder
from edge_ad_runtime.artifact.folder import Artifact
from edge_ad_runtime.detector import Detector
from edge_ad_runtime.engines import Graph
from edge_ad_runtime.engines.tensorrt.build import build_plan
from edge_ad_runtime.engines.tensorrt.cuda import Gpu
from edge_ad_runtime.engines.tensorrt.library import Capability, open_library
from edge_ad_runtime.engines.tensorrt.plans import write_plan
from edge_ad_runtime.errors import ArtifactError, ConfigError, EngineError
from edge_ad_runtime.loaded_member import artifact_graph
from edge_ad_runtime.options import RunOptions
from edge_ad_runtime.proof.verify import verify


@dataclass(frozen=True, kw_only=True)
class CompileReport:
    """What was compiled.

    Attributes:
        plans: the names of the files in ``engines``.
        engine: the library that has compiled them, ``tensorrt`` or ``tensorrt_rtx``.
        engine_version: the version of that library.
        max_batch: the most images that can be run at once.
        verified: whether the plans were run here and gave the exported scores.
    """

    plans: tuple[str, ...]
    engine: str
    engine_version: str
    max_batch: int
    verified: bool


def parse_capability(text: str) -> Capability:
    """Read a compute capability.

    Raises:
        ConfigError: the text is not two numbers with a point between them.

    >>> parse_capability("8.9")
    (8, 9)
    """
    major, point, minor = text.partition(".")
    if not (point and major.isdecimal() and minor.isdecimal()):
        raise ConfigError(f"compute-capability is {text!r}; it must be two numbers, such as 8.9")
    return int(major), int(minor)


def compile_plans(
    folder: Path | str,
    *,
    capabilities: Sequence[Capability] = (),
    max_batch: int = 16,
    timing_cache: Path | None = None,
) -> CompileReport:
    """Compile for this machine's GPU, and keep the plans if they give the exported scores.

    Afterwards either all the new plans are there, or none of them is and the old ones stay.

    Args:
        folder: the artifact's folder.
        capabilities: compute capabilities such as ``(8, 9)``, to compile for GPUs that are
            elsewhere instead. This needs TensorRT-RTX and no GPU, and verifies nothing.
        max_batch: the most images that can be run at once.
        timing_cache: see `build_plan`.

    Raises:
        ArtifactError: as in `Artifact.file`, or ``engines`` cannot be written.
        EngineError: there is no TensorRT or no GPU, or it cannot compile the graph, or the plan
            that it has compiled gives other scores.
        ConfigError: see `build_plan`.
    """
    artifact = Artifact.open(folder)
    library = open_library("tensorrt_rtx") if capabilities else open_library()
    gpu = None if capabilities else _gpu()
    targets = [(gpu.capability, gpu.name)] if gpu else [(c, "") for c in capabilities]
    try:
        with scratch_folder(artifact.plans) as staging:
            for graph in _graphs(artifact):
                for capability, name in targets:
                    plan = build_plan(
                        library,
                        graph,
                        capability=capability,
                        max_batch=max_batch,
                        timing_cache=timing_cache,
                    )
                    write_plan(staging, library.key(graph, capability, name), plan)
            if gpu is not None:
                _check(replace(artifact, plans=staging))
            plans = sorted(staging.iterdir())
            flush(staging)
            artifact.plans.mkdir(exist_ok=True)
            for plan_file in plans:
                plan_file.replace(artifact.plans / plan_file.name)
            flush(artifact.plans)
    except OSError as exc:
        raise ArtifactError(f"cannot be written: {exc.strerror}", path=artifact.plans) from exc
    return CompileReport(
        plans=tuple(path.name for path in plans),
        engine=library.name,
        engine_version=library.version,
        max_batch=max_batch,
        verified=gpu is not None,
    )


def _gpu() -> Gpu:
    try:
        return Gpu()
    except EngineError as exc:
        raise EngineError(
            f"{exc}; --compute-capability compiles for a GPU that is elsewhere"
        ) from exc


def _graphs(artifact: Artifact) -> list[Graph]:
    """The different networks of the artifact, since members of an ensemble may share one."""
    graphs = [artifact_graph(artifact, member) for member in artifact.manifest.members]
    return list({graph.sha256: graph for graph in graphs}.values())


def _check(artifact: Artifact) -> None:
    """Replay the reference images with the plans that the artifact points at."""
    with Detector.open(artifact, RunOptions(engine="tensorrt")) as detector:
        failure = verify(detector).first_failure
    if failure is not None:
        raise EngineError(
            f"{artifact.folder}: the plan does not give the exported scores, and is not kept; "
            f"first failing stage: {failure.stage} ({failure.worst_difference:.3g} on "
            f"{failure.image}, tolerance {failure.tolerance:g})"
        )
