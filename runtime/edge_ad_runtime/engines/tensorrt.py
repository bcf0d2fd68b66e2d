"""TensorRT, and TensorRT-RTX, which has the same interface: plans are built and run here.

Networks are strongly typed: what the graph says in float32 is computed in float32 (not in TF32,
TensorRT's own choice), and float16 or int8 is what the export has made so.
"""

from __future__ import annotations

import importlib
import re
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from edge_ad_runtime.engines import EngineName, Graph
from edge_ad_runtime.engines.cuda import Buffer, Gpu
from edge_ad_runtime.engines.plans import LibraryName, PlanKey, read_plan
from edge_ad_runtime.errors import ConfigError, EngineError

Capability = tuple[int, int]

_INPUT = "image"


@dataclass(frozen=True)
class Library:
    """One of the two libraries, imported.

    Attributes:
        name: which.
        api: its module.
        log: its one logger; it keeps the last errors in ``log.errors``.
    """

    name: LibraryName
    api: Any
    log: Any

    @property
    def version(self) -> str:
        """Such as ``10.3.0``."""
        return str(self.api.__version__)

    def key(self, graph: Graph, capability: Capability, gpu: str = "") -> PlanKey:
        """The key of the graph's plan for a GPU; of its name only TensorRT takes notice."""
        target = "sm{}{}".format(*capability)
        if self.name == "tensorrt":
            target += "-" + re.sub(r"[^a-z0-9]+", "-", gpu.lower()).strip("-")
        return PlanKey(
            library=self.name, version=self.version, target=target, graph_sha256=graph.sha256
        )

    def made(self, what: Any, failure: str) -> Any:
        """``what``, unless it is None, TensorRT's way to say that it has written to its log."""
        if what is None:
            raise EngineError(f"{self.name} {self.version} {failure}: {self.reason()}")
        return what

    def reason(self) -> str:
        """The first of the last errors, and none of them any more."""
        errors = [*self.log.errors, "it does not say why"]
        self.log.errors.clear()
        return " ".join(str(errors[0]).split())


def open_library(*names: LibraryName) -> Library:
    """The first of these that is installed; by default TensorRT, else TensorRT-RTX.

    Raises:
        EngineError: none is (says what to install), or it cannot be loaded.
    """
    missing = []
    for name in names or get_args(LibraryName):
        try:
            api = importlib.import_module(name)
        except ImportError as exc:
            missing.append(str(exc))
        except OSError as exc:  # the package is there, the library that it loads is not
            raise EngineError(f"{name} cannot be loaded: {exc}") from exc
        else:
            return Library(name, api, _log(api))
    raise EngineError(
        "TensorRT is not installed; pip install 'edge-ad-runtime[tensorrt]', or "
        f"'edge-ad-runtime[tensorrt-rtx]' ({'; '.join(missing)})"
    )


@cache  # the first logger that a library is given serves everything in the process
def _log(api: Any) -> Any:
    class Log(api.ILogger):  # type: ignore[misc]  # known when it is imported
        def __init__(self) -> None:
            super().__init__()
            self.errors: deque[str] = deque(maxlen=16)

        def log(self, severity: Any, message: str) -> None:
            if severity in (api.ILogger.ERROR, api.ILogger.INTERNAL_ERROR):
                self.errors.append(message)

    return Log()


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
        library: what compiles it; TensorRT does so on the GPU that it is for, TensorRT-RTX
            anywhere.
        graph: float32, float16, or int8 by pairs of QuantizeLinear and DequantizeLinear.
        capability: compute capability of the GPU that it is for.
        max_batch: images at once, at most; it is tuned for one.
        timing_cache: file of TensorRT's measurements, read where it exists, then written: the
            next build on this GPU is faster.

    Returns:
        The plan, for `write_plan`.

    Raises:
        EngineError: TensorRT cannot read the graph (names the node), or cannot compile it.
        ConfigError: a batch that cannot be; a timing cache of another GPU or version, or for
            TensorRT-RTX.
    """
    if not 1 <= max_batch < 2**31:
        raise ConfigError(f"max-batch is {max_batch}; it must be 1 to {2**31 - 1}")
    api = library.api
    library.log.errors.clear()
    try:
        builder = api.Builder(library.log)
    except TypeError as exc:  # pybind11's word for a null pointer
        raise EngineError(
            f"{library.name} {library.version} cannot build here: {library.reason()}"
        ) from exc
    typed = 1 << int(api.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
    network = builder.create_network(typed)
    parser = api.OnnxParser(network, library.log)
    if not parser.parse(graph.onnx):
        raise EngineError(
            f"{library.name} {library.version} refuses features.onnx: {_first_error(parser)}"
        )
    config = builder.create_builder_config()
    config.clear_flag(api.BuilderFlag.TF32)
    if library.name == "tensorrt_rtx":
        _build_ahead(library, config, capability)
    cached = None if timing_cache is None else _read_timing_cache(library, config, timing_cache)
    shape = tuple(network.get_input(0).shape)[1:]  # (H, W, 3)
    profile = builder.create_optimization_profile()
    profile.set_shape(_INPUT, (1, *shape), (1, *shape), (max_batch, *shape))
    config.add_optimization_profile(profile)
    plan = builder.build_serialized_network(network, config)
    plan = bytes(library.made(plan, "cannot compile features.onnx"))
    if timing_cache is not None and cached is not None:
        _write_timing_cache(timing_cache, bytes(cached.serialize()))
    return plan


class TensorRTEngine:
    """A plan from the artifact's ``engines``, on one stream; threads take turns."""

    name: EngineName = "tensorrt"

    def __init__(self, graph: Graph) -> None:
        library = open_library()
        self._gpu = Gpu()
        key = library.key(graph, self._gpu.capability, self._gpu.name)
        plan = read_plan(graph.plans, key)
        library.log.errors.clear()
        api, gone = library.api, f"cannot load {key.file_name} on {self._gpu.name}"
        self._runtime = library.made(api.Runtime(library.log), gone)
        self._engine = library.made(self._runtime.deserialize_cuda_engine(plan), gone)
        self._context = library.made(_execution_context(api, self._engine), gone)
        shape = self._engine.get_tensor_profile_shape(_INPUT, 0)[2]  # of the largest batch
        self._context.set_input_shape(_INPUT, shape)
        self._buffers: dict[str, Buffer] = {}
        for i in range(self._engine.num_io_tensors):
            name = self._engine.get_tensor_name(i)
            dtype = np.dtype(api.nptype(self._engine.get_tensor_dtype(name)))
            buffer = Buffer(self._gpu, tuple(self._context.get_tensor_shape(name)), dtype)
            self._context.set_tensor_address(name, buffer.address)
            self._buffers[name] = buffer
        self._image = self._buffers.pop(_INPUT)
        self._library = library
        self._lock = threading.Lock()
        self._batch = 0
        self._launch: Callable[[], None] | None = None
        self.version = library.version + (" (RTX)" if library.name == "tensorrt_rtx" else "")
        self.device = self._gpu.name

    def run(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """See `Engine.run`."""
        return self._run(images)["features"]

    def run_with_rows(
        self, images: NDArray[np.uint8]
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """See `Engine.run_with_rows`."""
        found = self._run(images)
        return found["features"], found["rows"]

    def _run(self, images: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:
        most, *size = self._image.host.shape
        count = len(images)
        if not 1 <= count <= most or list(images.shape[1:]) != size:
            raise EngineError(
                f"TensorRT failed on images of shape {images.shape}: its plan is for 1 to {most} "
                f"of {tuple(size)}; more at once: edge-ad compile --max-batch"
            )
        with self._lock:
            self._gpu.enter()
            self._image.host[:count] = images
            if self._launch is None or self._batch != count:
                self._launch = None  # a graph is no longer valid once its context is changed
                self._launch, self._batch = self._prepare(count), count
            self._launch()
            self._gpu.synchronize()
            return {name: buffer.host[:count].copy() for name, buffer in self._buffers.items()}

    def _prepare(self, count: int) -> Callable[[], None]:
        """Get ready for batches of that size; the answer, called, computes one."""

        def work() -> None:
            self._image.upload(count)
            if not self._context.execute_async_v3(self._gpu.stream):
                raise EngineError(f"TensorRT failed on {count} images: {self._library.reason()}")
            for buffer in self._buffers.values():
                buffer.download(count)

        self._library.log.errors.clear()
        if not self._context.set_input_shape(_INPUT, (count, *self._image.host.shape[1:])):
            raise EngineError(f"TensorRT refuses {count} images: {self._library.reason()}")
        work()  # the first time it sets itself up, which cannot be captured
        self._gpu.synchronize()
        return self._gpu.capture(work)


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


def _execution_context(api: Any, engine: Any) -> Any:
    """A context whose kernels are final from the first image on.

    TensorRT-RTX would begin with general kernels and change to better ones once it has compiled
    them in the background: a score would depend on when it was taken.
    """
    if not hasattr(api, "DynamicShapesKernelSpecializationStrategy"):
        return engine.create_execution_context()
    config = engine.create_runtime_config()
    strategy = api.DynamicShapesKernelSpecializationStrategy.EAGER
    config.dynamic_shapes_kernel_specialization_strategy = strategy
    return engine.create_execution_context(config)


def _first_error(parser: Any) -> str:
    if parser.num_errors == 0:
        return "it does not say why"
    error = parser.get_error(0)
    node = f" (node {error.node_name()}, {error.node_operator()})" if error.node_name() else ""
    return " ".join(error.desc().splitlines()[:2]) + node  # then come consequences


def _read_timing_cache(library: Library, config: Any, path: Path) -> Any:
    if library.name == "tensorrt_rtx":
        raise ConfigError("timing-cache is for TensorRT; TensorRT-RTX measures nothing")
    try:
        content = path.read_bytes() if path.exists() else b""
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
    partial = path.with_name(f".{path.name}.partial")
    try:
        partial.write_bytes(content)
        partial.replace(path)
    except OSError as exc:
        partial.unlink(missing_ok=True)
        raise ConfigError(f"timing-cache {path} cannot be written: {exc.strerror}") from exc
