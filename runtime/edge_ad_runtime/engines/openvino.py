"""OpenVINO on the CPU: the usual runtime of x86 inspection boxes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ad_runtime.artifact.words import EngineName
from edge_ad_runtime.engines import INPUT, Graph, Outputs
from edge_ad_runtime.errors import EngineError

# On processors with AMX or AVX512-BF16, OpenVINO computes float32 graphs in bfloat16 unless told
# otherwise, and the scores would not be those that were exported. Its own half precision (f16)
# gives features that are off by ten times their size on such processors (2026.4). A half precision
# graph is therefore computed in float32, which is exact, but no faster.
_COMPUTED_IN = {"fp32": "f32", "fp16": "f32", "int8": "f32", "bf16": "bf16"}


class OpenVinoEngine:
    """A compiled graph. Every call of `run` has an infer request of its own."""

    name: EngineName = "openvino"
    device = "cpu"

    def __init__(self, graph: Graph, *, threads: int | None = None) -> None:
        try:
            import openvino
        except ImportError as exc:
            raise EngineError(
                "OpenVINO is not installed; pip install 'edge-ad-runtime[openvino]'"
            ) from exc
        core: Any = openvino.Core()
        wanted = _COMPUTED_IN[graph.precision]
        settings = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": wanted,
            "INFERENCE_NUM_THREADS": threads or 0,
        }
        try:
            # given as a path, it finds the external data beside it
            model = core.read_model(graph.onnx)
            self._compiled: Any = core.compile_model(model, "CPU", settings)
        except Exception as exc:  # openvino raises RuntimeError and its own
            raise EngineError(f"OpenVINO refuses the graph: {_first_line(exc)}") from exc
        computed_in = self._compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name()
        if computed_in != wanted:
            raise EngineError(
                f"this processor computes {graph.precision} graphs in {computed_in}; export with "
                "--precision fp32 for it"
            )
        self._outputs: list[str] = [output.get_any_name() for output in self._compiled.outputs]
        self.version = str(openvino.__version__)

    def run(self, images: NDArray[np.uint8]) -> Outputs:
        """See `Engine.run`."""
        failed = f"OpenVINO failed on images of shape {images.shape}"
        try:
            # the outputs belong to this request, so they stay as they are
            answer = self._compiled.create_infer_request().infer({INPUT: images})
            found = {name: np.asarray(answer[name]) for name in self._outputs}
        except Exception as exc:  # openvino raises RuntimeError and its own
            raise EngineError(f"{failed}: {_first_line(exc)}") from exc
        # on one thread it fails without raising, and its outputs are empty (2026.4)
        if any(len(value) != len(images) for value in found.values()):
            takes = self._compiled.input(INPUT).partial_shape
            raise EngineError(f"{failed}: it gave no outputs; the graph takes {takes}")
        return found

    def close(self) -> None:
        """See `Engine.close`."""
        self._compiled = None


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines and not isinstance(error, KeyError) else repr(error)
