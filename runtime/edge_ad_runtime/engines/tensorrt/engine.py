"""TensorRT, and TensorRT-RTX, which has the same interface: one engine for the plans of both."""

from __future__ import annotations

import importlib
import re
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from edge_ad_runtime.engines import EngineName, Graph
from edge_ad_runtime.engines.tensorrt.cuda import Buffer, Gpu
from edge_ad_runtime.engines.tensorrt.plans import LibraryName, PlanKey, read_plan
from edge_ad_runtime.errors import EngineError

Capability = tuple[int, int]

INPUT = "image"


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
    wanted: tuple[LibraryName, ...] = names or get_args(LibraryName)
    missing = []
    for name in wanted:
        try:
            api = importlib.import_module(name)
        except ImportError as exc:
            missing.append(str(exc))
        except OSError as exc:  # the package is there, the library that it loads is not
            raise EngineError(f"{name} cannot be loaded: {exc}") from exc
        else:
            return Library(name, api, _log(api))
    extras = (f"'edge-ad-runtime[{name.replace('_', '-')}]'" for name in wanted)
    raise EngineError(
        f"TensorRT is not installed; pip install {' or '.join(extras)} ({'; '.join(missing)})"
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
        shape = self._engine.get_tensor_profile_shape(INPUT, 0)[2]  # of the largest batch
        self._context.set_input_shape(INPUT, shape)
        self._buffers: dict[str, Buffer] = {}
        for i in range(self._engine.num_io_tensors):
            name = self._engine.get_tensor_name(i)
            dtype = np.dtype(api.nptype(self._engine.get_tensor_dtype(name)))
            buffer = Buffer(self._gpu, tuple(self._context.get_tensor_shape(name)), dtype)
            self._context.set_tensor_address(name, buffer.address)
            self._buffers[name] = buffer
        self._image = self._buffers.pop(INPUT)
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
        if images.dtype != np.uint8 or list(images.shape[1:]) != size or not 1 <= count <= most:
            raise EngineError(
                f"TensorRT failed on images of shape {images.shape}, {images.dtype}: its plan is "
                f"for 1 to {most} of {tuple(size)}, uint8; more at once: edge-ad compile "
                "--max-batch"
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
        if not self._context.set_input_shape(INPUT, (count, *self._image.host.shape[1:])):
            raise EngineError(f"TensorRT refuses {count} images: {self._library.reason()}")
        work()  # the first time it sets itself up, which cannot be captured
        self._gpu.synchronize()
        return self._gpu.capture(work)


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
