"""torch to ONNX."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Sequence

import onnx
import torch
from torch import Tensor, nn

from edge_ad_runtime.engines import INPUT
from edge_ad_runtime.errors import ExportError

_OPSET = 18


def to_onnx(network: nn.Module, size: tuple[int, int]) -> bytes:
    """``network.onnx``: ``image`` uint8 (N, H, W, 3) to the network's named outputs.

    Raises:
        ExportError: the exporter or the onnx checker refuses.
    """
    example = torch.zeros((2, *size, 3), dtype=torch.uint8)  # 2: a batch of 1 would be fixed to 1
    with torch.inference_mode():
        names = list(network(example[:1]))
    return checked(to_model(network, [example], [INPUT], names))


def to_model(
    module: nn.Module, examples: Sequence[Tensor], names: Sequence[str], results: Sequence[str]
) -> onnx.ModelProto:
    """The module as a graph with inputs and outputs of those names, whose first axis is dynamic.

    Raises:
        ExportError: the exporter refuses.
    """
    batch = torch.export.Dim("N", min=1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's own deprecations, on every export
            logging.getLogger("torch.onnx").setLevel(logging.ERROR)
            program = torch.onnx.export(
                module,
                tuple(examples),
                dynamo=True,
                input_names=list(names),
                output_names=list(results),
                dynamic_shapes=tuple({0: batch} for _ in examples),
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
