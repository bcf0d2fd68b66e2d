"""ONNX Runtime: on the CPU, or through its CUDA and TensorRT execution providers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ad_runtime.artifact.words import EngineName
from edge_ad_runtime.engines import INPUT, Graph, Outputs
from edge_ad_runtime.errors import EngineError

_PROVIDERS = {
    "onnxruntime": ("CPUExecutionProvider",),
    "onnxruntime-cuda": ("CUDAExecutionProvider", "CPUExecutionProvider"),
    "onnxruntime-tensorrt": (
        "TensorrtExecutionProvider",
        "CUDAExecutionProvider",
        "CPUExecutionProvider",
    ),
}


class OnnxRuntimeEngine:
    """A session of the graph. Several threads may call `run` at once."""

    def __init__(
        self, graph: Graph, *, name: EngineName = "onnxruntime", threads: int | None = None
    ) -> None:
        self.name = name
        extra = "cpu" if name == "onnxruntime" else "gpu"
        try:
            import onnxruntime
        except ImportError as exc:
            raise EngineError(
                f"ONNX Runtime is not installed; pip install 'edge-ad-runtime[{extra}]'"
            ) from exc
        wanted = _PROVIDERS[name]
        if wanted[0] not in onnxruntime.get_available_providers():
            raise EngineError(
                f"this ONNX Runtime {onnxruntime.__version__} is built without {wanted[0]}; "
                f"pip uninstall onnxruntime, then pip install 'edge-ad-runtime[{extra}]'"
            )
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = threads or 0
        # waiting threads would spin, in the way of the search that comes next
        options.add_session_config_entry("session.force_spinning_stop", "1")
        try:
            self._session: Any = onnxruntime.InferenceSession(
                graph.onnx if isinstance(graph.onnx, bytes) else str(graph.onnx),
                options,
                providers=list(wanted),
            )
        except Exception as exc:  # its exception types are private and many
            raise EngineError(f"ONNX Runtime refuses the graph: {exc}") from exc
        if wanted[0] not in self._session.get_providers():  # it goes on with the CPU
            raise EngineError(
                f"ONNX Runtime cannot use {wanted[0]} here (is there a GPU, are its driver and "
                "CUDA's libraries installed?); --engine onnxruntime runs on the CPU"
            )
        self._outputs: list[str] = [output.name for output in self._session.get_outputs()]
        self.version = str(onnxruntime.__version__)
        self.device = "cpu" if name == "onnxruntime" else "cuda:0"

    def run(self, images: NDArray[np.uint8]) -> Outputs:
        """See `Engine.run`."""
        try:
            found = self._session.run(self._outputs, {INPUT: images})
        except Exception as exc:  # its exception types are private and many
            raise EngineError(
                f"ONNX Runtime failed on images of shape {images.shape}: {exc}"
            ) from exc
        return dict(zip(self._outputs, found, strict=True))

    def close(self) -> None:
        """See `Engine.close`."""
        self._session = None
