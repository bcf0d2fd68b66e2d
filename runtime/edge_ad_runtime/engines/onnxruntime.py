"""ONNX Runtime: on the CPU, or through its CUDA and TensorRT execution providers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ad_runtime.engines import EngineName, Graph
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
    """A ``features.onnx`` session; `run` may be called from several threads."""

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
                graph.onnx, options, providers=list(wanted)
            )
        except Exception as exc:  # its exception types are private and many
            raise EngineError(f"ONNX Runtime refuses features.onnx: {exc}") from exc
        if wanted[0] not in self._session.get_providers():  # it goes on with the CPU
            raise EngineError(
                f"ONNX Runtime cannot use {wanted[0]} here (is there a GPU, are its driver and "
                "CUDA's libraries installed?); --engine onnxruntime runs on the CPU"
            )
        self.version = str(onnxruntime.__version__)
        self.device = "cpu" if name == "onnxruntime" else "cuda:0"

    def run(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """See `Engine.run`."""
        (features,) = self._run(["features"], images)
        return features

    def run_with_rows(
        self, images: NDArray[np.uint8]
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """See `Engine.run_with_rows`."""
        features, rows = self._run(["features", "rows"], images)
        return features, rows

    def _run(self, outputs: list[str], images: NDArray[np.uint8]) -> list[NDArray[Any]]:
        try:
            found: list[NDArray[Any]] = self._session.run(outputs, {"image": images})
        except Exception as exc:  # its exception types are private and many
            raise EngineError(
                f"ONNX Runtime failed on images of shape {images.shape}: {exc}"
            ) from exc
        return found
