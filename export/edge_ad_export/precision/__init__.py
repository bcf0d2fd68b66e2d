"""Networks that compute in less than float32, and what that costs.

What comes before and after the trained part of a network stays float32, and so do its outputs. A
bf16 graph is the float32 graph: ONNX knows no convolution in bfloat16 at the opset that everything
reads, so it is the engine that computes in it.
"""

from __future__ import annotations

from edge_ad.fitting.fitted import FittedDetector
from edge_ad.methods import Lowered
from edge_ad_export.graph.onnx_graph import to_onnx
from edge_ad_export.precision.int8 import to_int8
from edge_ad_export.settings import ExportConfig
from edge_ad_runtime.errors import ExportError


def reduce(
    fitted: FittedDetector,
    lowered: Lowered,
    graph: bytes,
    config: ExportConfig,
    *,
    progress: bool = False,
) -> tuple[bytes, str]:
    """Turn the float32 ``graph`` into one in ``config.precision``, and say how it was made.

    Raises:
        ExportError: there are too few held-out images to calibrate with, the quantiser refuses, or
            the method has no network in that precision.
    """
    if config.precision == "int8":
        if lowered.no_int8:
            raise ExportError(
                f"{fitted.record.method} has no int8 network: {lowered.no_int8}; export with "
                "--precision fp16 or fp32"
            )
        return to_int8(fitted, lowered, graph, config, progress=progress)
    if config.precision == "fp16":
        if lowered.in_half is None:
            raise ExportError(
                f"{fitted.record.method} has no network in half precision; export with "
                "--precision fp32"
            )
        graph = to_onnx(lowered.in_half(), fitted.config.size)
    return graph, config.precision
