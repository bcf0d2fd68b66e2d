"""ONNX Runtime on the CPU."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ad_runtime.errors import EngineError


class OnnxRuntimeEngine:
    """A ``features.onnx`` session; `run` may be called from several threads."""

    name = "onnxruntime"

    def __init__(self, graph: bytes, *, threads: int | None = None) -> None:
        try:
            import onnxruntime
        except ImportError as exc:
            raise EngineError(
                "ONNX Runtime is not installed; pip install 'edge-ad-runtime[cpu]'"
            ) from exc
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = threads or 0
        try:
            self._session: Any = onnxruntime.InferenceSession(
                graph, options, providers=["CPUExecutionProvider"]
            )
        except Exception as exc:  # its exception types are private and many
            raise EngineError(f"ONNX Runtime refuses features.onnx: {exc}") from exc
        self.version = str(onnxruntime.__version__)

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
