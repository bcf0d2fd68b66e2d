"""torch to ONNX, and the proof that both compute the same."""

from __future__ import annotations

import io
import logging
import warnings

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from edge_ad.features.patches import PatchFeatures, extract
from edge_ad_runtime.engines import Graph, open_engine
from edge_ad_runtime.errors import ExportError, ParityError

_OPSET = 18
# float32 sums in another order, over some 20 layers: measured 1e-6 to 5e-6 of the largest feature
FEATURE_TOLERANCE = 1e-4


def to_onnx(network: PatchFeatures, size: tuple[int, int]) -> bytes:
    """``features.onnx``: ``image`` uint8 (N, H, W, 3) to ``features`` float32 (N, rows, cols, D).

    Raises:
        ExportError: the exporter or the onnx checker refuses.
    """
    example = torch.zeros((2, *size, 3), dtype=torch.uint8)  # 2: a batch of 1 would be fixed to 1
    return checked(to_model(network, example, "image", "features"))


def to_model(module: nn.Module, example: Tensor, name: str, result: str) -> onnx.ModelProto:
    """One input and one output, the first axis dynamic.

    Raises:
        ExportError: the exporter refuses.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's own deprecations, on every export
            logging.getLogger("torch.onnx").setLevel(logging.ERROR)
            program = torch.onnx.export(
                module,
                (example,),
                dynamo=True,
                input_names=[name],
                output_names=[result],
                dynamic_shapes=({0: torch.export.Dim("N", min=1)},),
                opset_version=_OPSET,
                verbose=False,
            )
    except (torch.onnx.errors.OnnxExporterError, RuntimeError) as exc:
        raise ExportError(f"the network cannot be exported to ONNX: {exc}") from exc
    assert program is not None, "dynamo=True gives a program"
    model: onnx.ModelProto = program.model_proto
    _strip(model)
    return model


def checked(model: onnx.ModelProto) -> bytes:
    """The bytes of a valid graph.

    Raises:
        ExportError: the onnx checker refuses.
    """
    buffer = io.BytesIO()
    onnx.save(model, buffer)
    try:
        onnx.checker.check_model(buffer.getvalue(), full_check=True)
    except onnx.checker.ValidationError as exc:
        raise ExportError(f"the network cannot be exported to ONNX: {exc}") from exc
    return buffer.getvalue()


def _strip(model: onnx.ModelProto) -> None:
    """Remove the exporter's notes: source lines and folders of this machine."""
    graph = model.graph
    parts = (graph.node, graph.input, graph.output, graph.value_info, graph.initializer)
    for item in (model, graph, *(item for part in parts for item in part)):
        item.ClearField("metadata_props")
        item.ClearField("doc_string")


def check_parity(network: PatchFeatures, graph: bytes, images: NDArray[np.uint8]) -> float:
    """Run ONNX Runtime beside torch on ``(k, H, W, 3)`` real images.

    Returns:
        The largest difference, relative to the largest feature.

    Raises:
        ParityError: it is above `FEATURE_TOLERANCE`.
    """
    engine = open_engine("onnxruntime", Graph(onnx=graph))
    worst_absolute = worst = 0.0
    for image in images:
        expected = extract(network, image[np.newaxis])
        found = engine.run(image[np.newaxis])
        if found.shape != expected.shape:
            raise ExportError(f"ONNX gives features {found.shape}, torch {expected.shape}")
        absolute = float(np.abs(found - expected).max())
        worst_absolute = max(worst_absolute, absolute)
        worst = max(worst, absolute / float(np.abs(expected).max()))
    if not worst <= FEATURE_TOLERANCE:
        raise ParityError(
            f"features differ from torch's by {worst:.2g} of the largest feature, "
            f"{FEATURE_TOLERANCE:g} is allowed",
            max_abs_difference=worst_absolute,
            tolerance=FEATURE_TOLERANCE,
        )
    return worst
