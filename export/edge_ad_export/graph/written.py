"""Graphs as files: in one, or with their large tensors in another beside it."""

from __future__ import annotations

from pathlib import Path

import onnx

from edge_ad_export.graph.onnx_graph import checked
from edge_ad_runtime.errors import ExportError

MOST_IN_GRAPH_BYTES = 1_800_000_000  # ONNX is protobuf, which ends at 2 GiB
_LARGE_BYTES = 1024  # tensors below stay in the graph


def write_graph(model: onnx.ModelProto, path: Path) -> Path | None:
    """Write a graph. What does not fit into one file is put into ``NAME.data`` beside it.

    Returns:
        The path of the external data, or None if there is none.

    Raises:
        ExportError: the onnx checker refuses.
    """
    if sum(len(tensor.raw_data) for tensor in model.graph.initializer) <= MOST_IN_GRAPH_BYTES:
        path.write_bytes(checked(model))
        return None
    data = path.with_name(f"{path.name}.data")
    onnx.save_model(
        model,
        path,
        save_as_external_data=True,
        all_tensors_to_one_file=True,
        location=data.name,
        size_threshold=_LARGE_BYTES,
    )
    try:
        onnx.checker.check_model(path, full_check=True)
    except onnx.checker.ValidationError as exc:
        raise ExportError(f"the network cannot be exported to ONNX: {exc}") from exc
    return data
