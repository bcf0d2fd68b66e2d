"""The engine that runs the plans of TensorRT, and of TensorRT-RTX, which has the same interface."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ad_runtime.artifact.words import EngineName
from edge_ad_runtime.engines import INPUT, Graph, Outputs
from edge_ad_runtime.engines.tensorrt.cuda import Buffer, Gpu
from edge_ad_runtime.engines.tensorrt.library import open_library
from edge_ad_runtime.engines.tensorrt.plans import read_plan
from edge_ad_runtime.errors import EngineError


class TensorRTEngine:
    """A plan from the artifact's ``engines`` on one stream, for which threads take turns."""

    name: EngineName = "tensorrt"

    def __init__(self, graph: Graph) -> None:
        library = open_library()
        self._gpu = Gpu()
        key = library.key(graph, self._gpu.capability, self._gpu.name)
        plan = read_plan(graph.plans, key)
        library.log.errors.clear()
        api, failure = library.api, f"cannot load {key.file_name} on {self._gpu.name}"
        self._runtime = library.made(api.Runtime(library.log), failure)
        self._engine = library.made(self._runtime.deserialize_cuda_engine(plan), failure)
        self._context = library.made(_execution_context(api, self._engine), failure)
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

    def run(self, images: NDArray[np.uint8]) -> Outputs:
        """See `Engine.run`."""
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
                self._launch = None  # a CUDA graph is no longer valid once its context is changed
                self._launch, self._batch = self._prepare(count), count
            self._launch()
            self._gpu.synchronize()
            return {name: buffer.host[:count].copy() for name, buffer in self._buffers.items()}

    def close(self) -> None:
        """See `Engine.close`."""
        with self._lock:
            self._launch = None
            self._buffers.clear()
            del self._image, self._context, self._engine, self._runtime

    def _prepare(self, count: int) -> Callable[[], None]:
        """Get ready for batches of that size, and give the function that computes one."""

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
    them in the background, so that a score would depend on when it was taken.
    """
    if not hasattr(api, "DynamicShapesKernelSpecializationStrategy"):
        return engine.create_execution_context()
    config = engine.create_runtime_config()
    strategy = api.DynamicShapesKernelSpecializationStrategy.EAGER
    config.dynamic_shapes_kernel_specialization_strategy = strategy
    return engine.create_execution_context(config)
