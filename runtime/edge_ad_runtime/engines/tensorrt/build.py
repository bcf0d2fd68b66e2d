"""Compile a graph into a plan with TensorRT or TensorRT-RTX.

Networks are strongly typed. What is float32 in the graph is computed in float32, and not in TF32,
which TensorRT would choose. Only what the export has made float16 or int8 is computed so.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edge_ad_runtime.artifact.atomic import write_file
from edge_ad_runtime.engines import INPUT, Graph
from edge_ad_runtime.engines.tensorrt.library import Capability, Library
from edge_ad_runtime.errors import ConfigError, EngineError
from edge_ad_runtime.regular_file import read_regular

_MOST_CACHE_BYTES = 1 << 30


def build_plan(
    library: Library,
    graph: Graph,
    *,
    capability: Capability,
    max_batch: int = 16,
    timing_cache: Path | None = None,
) -> bytes:
    """Compile a graph.

    Args:
        library: the library that compiles it. TensorRT must do so on the GPU that the plan is for,
            TensorRT-RTX can do so anywhere.
        graph: a graph in float32 or float16, or in int8 by pairs of QuantizeLinear and
            DequantizeLinear.
        capability: the compute capability of the GPU that the plan is for.
        max_batch: the most images that can be run at once. The plan is tuned for one.
        timing_cache: a file of TensorRT's measurements. It is read where it exists, and then
            written, so that the next build on this GPU is faster.

    Returns:
        The plan, for `write_plan`.

    Raises:
        EngineError: TensorRT cannot read the graph (the message names the node), or cannot compile
            it.
        ConfigError: the batch is impossible, or the timing cache is of another GPU or version, or
            one was given for TensorRT-RTX.
    """
    if not 1 <= max_batch < 2**31:
        raise ConfigError(f"max-batch is {max_batch}; it must be 1 to {2**31 - 1}")
    api = library.api
    library.log.errors.clear()
    try:
        builder = api.Builder(library.log)
    except TypeError as exc:  # this is how pybind11 reports a null pointer
        raise EngineError(
            f"{library.name} {library.version} cannot build here: {library.reason()}"
        ) from exc
    typed = 1 << int(api.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
    network = builder.create_network(typed)
    parser = api.OnnxParser(network, library.log)
    if isinstance(graph.onnx, bytes):
        is_read = parser.parse(graph.onnx)
    else:
        is_read = parser.parse_from_file(str(graph.onnx))
    if not is_read:
        raise EngineError(
            f"{library.name} {library.version} refuses the graph: {_first_error(parser)}"
        )
    config = builder.create_builder_config()
    config.clear_flag(api.BuilderFlag.TF32)
    if library.name == "tensorrt_rtx":
        _build_ahead(library, config, capability)
    cached = None if timing_cache is None else _read_timing_cache(library, config, timing_cache)
    shape = tuple(network.get_input(0).shape)[1:]  # (H, W, 3)
    profile = builder.create_optimization_profile()
    profile.set_shape(INPUT, (1, *shape), (1, *shape), (max_batch, *shape))
    config.add_optimization_profile(profile)
    plan = builder.build_serialized_network(network, config)
    plan = bytes(library.made(plan, "cannot compile the graph"))
    if timing_cache is not None and cached is not None:
        _write_timing_cache(timing_cache, bytes(cached.serialize()))
    return plan


def _build_ahead(library: Library, config: Any, capability: Capability) -> None:
    """Aim TensorRT-RTX at one compute capability, and let its work be captured."""
    api, wanted = library.api, "SM{}{}".format(*capability)
    known = [name for name in api.ComputeCapability.__members__ if name.startswith("SM")]
    if wanted not in known:
        raise EngineError(
            f"{library.name} {library.version} builds for {', '.join(sorted(known))}, not for "
            f"{wanted}; such a GPU needs TensorRT: pip install 'edge-ad-runtime[tensorrt]'"
        )
    config.num_compute_capabilities = 1
    config.set_compute_capability(api.ComputeCapability.__members__[wanted], 0)
    config.set_flag(api.BuilderFlag.REQUIRE_USER_ALLOCATION)


def _first_error(parser: Any) -> str:
    if parser.num_errors == 0:
        return "it does not say why"
    error = parser.get_error(0)
    node = f" (node {error.node_name()}, {error.node_operator()})" if error.node_name() else ""
    return " ".join(error.desc().splitlines()[:2]) + node  # later lines are consequences


def _read_timing_cache(library: Library, config: Any, path: Path) -> Any:
    if library.name == "tensorrt_rtx":
        raise ConfigError("timing-cache is for TensorRT; TensorRT-RTX measures nothing")
    try:
        content = read_regular(path, most_bytes=_MOST_CACHE_BYTES)
    except FileNotFoundError:
        content = b""
    except OSError as exc:
        raise ConfigError(f"timing-cache {path} cannot be read: {exc.strerror}") from exc
    cached = config.create_timing_cache(content)
    if cached is None or not config.set_timing_cache(cached, False):
        raise ConfigError(
            f"timing-cache {path} is of another GPU or TensorRT than {library.version}, or "
            "damaged; delete it, or name another"
        )
    return cached


def _write_timing_cache(path: Path, content: bytes) -> None:
    try:
        write_file(path, content)
    except OSError as exc:
        raise ConfigError(f"timing-cache {path} cannot be written: {exc.strerror}") from exc
