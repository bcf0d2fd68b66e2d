"""A module of torch behind a graph: one graph of both, whatever the first one's precision."""

from __future__ import annotations

from collections.abc import Sequence

import onnx
import torch
from torch import Tensor, nn

from edge_ad.methods.judge import taken_by
from edge_ad_export.graph.onnx_graph import to_model

_PREFIX = "appended."


def appended(graph: bytes, module: nn.Module, *, keep: Sequence[str] = ()) -> onnx.ModelProto:
    """The graph with the module's outputs instead of its own.

    Args:
        graph: a graph from images to named outputs.
        module: a module whose ``forward`` names the outputs that it takes and gives a dict of
            others.
        keep: the outputs of the graph that stay outputs.

    Raises:
        ExportError: the exporter refuses.
    """
    model = onnx.load_from_string(graph)
    taken = taken_by(module)
    examples = [_example(model, name) for name in taken]
    with torch.inference_mode():
        given = list(module(*examples))
    behind = onnx.compose.add_prefix(to_model(module, examples, taken, given), _PREFIX)
    assert model.opset_import == behind.opset_import and not behind.functions, "one exporter's"
    # merge_models would have the whole checked in memory, where no more than 2 GiB can be
    merged = onnx.compose.merge_graphs(
        model.graph,
        behind.graph,
        io_map=[(name, _PREFIX + name) for name in taken],
        outputs=[*keep, *(_PREFIX + name for name in given)],
    )
    renamed = {_PREFIX + name: name for name in given}
    for output in merged.output:
        output.name = renamed.get(output.name, output.name)
    for node in merged.node:
        for names in (node.input, node.output):  # an output may be read by another node too
            for i, name in enumerate(names):
                names[i] = renamed.get(name, name)
    model.graph.CopyFrom(merged)
    return model


def _example(model: onnx.ModelProto, name: str) -> Tensor:
    """Zeros of an output's shape, for a batch of 2: one of 1 would be fixed to 1."""
    (output,) = (output for output in model.graph.output if output.name == name)
    _, *axes = output.type.tensor_type.shape.dim
    return torch.zeros((2, *(axis.dim_value for axis in axes)))
