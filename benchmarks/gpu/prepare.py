"""What `benchmarks.gpu.measure` measures, made where torch is: artifacts and plain graphs."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx

from benchmarks.gpu.products import OPERATIONS, products
from benchmarks.harness.datasets import read_data_set
from benchmarks.harness.record import data_root, imagenet_resnet18
from edge_ad import PatchCoreConfig, fit
from edge_ad_export import ExportConfig, export
from edge_ad_runtime.artifact.folder import GRAPH
from edge_ad_runtime.artifact.words import Precision

PRECISIONS: tuple[Precision, ...] = ("fp32", "fp16", "int8")
SEARCHES: tuple[Literal["auto", "graph"], ...] = ("auto", "graph")


def prepare(folder: Path, fitted_images: int) -> None:
    """Fit, export, count operations, and write the plain matrix products."""
    folder.mkdir(parents=True, exist_ok=True)
    data = read_data_set(data_root() / "data/magnetic-tile")
    config = PatchCoreConfig(weights=imagenet_resnet18(), coreset_fraction=0.01)
    fitted = fit(data.good[:fitted_images], config, progress=True)
    for precision, search in product(PRECISIONS, SEARCHES):
        settings = ExportConfig(
            engine="tensorrt",
            precision=precision,
            search=search,
            reference_images=1,
            accept_loss=True,
        )
        name = f"{precision}-{search}.edgead"
        export(fitted, folder / name, settings, overwrite=True, progress=True)
    for precision in PRECISIONS:
        (folder / f"{precision}.onnx").write_bytes(products(precision))
    model = onnx.shape_inference.infer_shapes(onnx.load(folder / "fp32-auto.edgead" / GRAPH))
    (folder / OPERATIONS).write_text(json.dumps(count_operations(model)), encoding="utf-8")


def count_operations(model: Any) -> int:
    """Of the convolutions, per image; a multiplication with its addition counts as two."""
    graph, count = model.graph, 0
    weights = {w.name: w.dims for w in graph.initializer}
    shapes = {v.name: v.type.tensor_type.shape.dim for v in [*graph.value_info, *graph.output]}
    for node in graph.node:
        if node.op_type == "Conv":
            outputs = [dim.dim_value for dim in shapes[node.output[0]]][1:]
            count += 2 * int(np.prod(outputs)) * int(np.prod(weights[node.input[1]][1:]))
    return count
