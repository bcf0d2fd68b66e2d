"""Plain matrix products as a graph: what an engine can reach at best on a device.

Measuring a device imports this without ``onnx``, which only making the graphs needs.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from edge_ad_runtime.artifact.words import Precision

SIDE, PRODUCTS, SCALE = 2048, 8, 1 / 1024  # plain matrices: size, how many, step in int8
OPERATIONS = "operations.json"
"""Where the operations per image of the network to measure are, beside the graphs."""


def products(precision: Precision) -> bytes:
    """A graph with the names of ``network.onnx`` that is nothing but matrix products."""
    from onnx import TensorProto, helper, numpy_helper

    matrix = np.random.default_rng(0).standard_normal((SIDE, SIDE)) / np.sqrt(SIDE)
    constants = {"half": matrix.astype(np.float16)}
    if precision == "int8":
        constants = {
            "small": np.clip(np.rint(matrix / SCALE), -127, 127).astype(np.int8),
            "scale": np.array(SCALE, np.float32),
            "zero": np.array(0, np.int8),
        }
    graph = helper.make_graph(
        _nodes(precision, [*constants]),
        "products",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", 1, 1, 3])],
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["N", 1, 1, 1])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    opset = helper.make_opsetid("", 18)
    model = helper.make_model(graph, opset_imports=[opset], ir_version=10)
    return bytes(model.SerializeToString())


def _nodes(precision: Precision, constants: list[str]) -> list[Any]:
    """From the image to the features, by way of ``PRODUCTS`` products with the constants."""
    from onnx import TensorProto, helper

    kind = TensorProto.FLOAT16 if precision == "fp16" else TensorProto.FLOAT
    nodes = [
        helper.make_node("Cast", ["image"], ["cast"], to=kind),
        helper.make_node("ReduceMean", ["cast"], ["mean"], keepdims=1),
        helper.make_node("DequantizeLinear", constants, ["matrix"])
        if precision == "int8"
        else helper.make_node("Cast", ["half"], ["matrix"], to=kind),
        helper.make_node("Add", ["mean", "matrix"], ["x0"]),  # nothing is known before the image
    ]
    for i in range(PRODUCTS):
        factors = [f"x{i}", "matrix"]
        if precision == "int8":
            step, factors = ["scale", "zero"], [f"x{i}d", f"matrix{i}"]
            nodes += [
                helper.make_node("QuantizeLinear", [f"x{i}", *step], [f"x{i}q"]),
                helper.make_node("DequantizeLinear", [f"x{i}q", *step], [factors[0]]),
                helper.make_node("DequantizeLinear", ["small", *step], [factors[1]]),
            ]
        nodes.append(helper.make_node("MatMul", factors, [f"x{i + 1}"]))
    return [
        *nodes,
        helper.make_node("ReduceMean", [f"x{PRODUCTS}"], ["y"], keepdims=1),
        helper.make_node("Cast", ["y"], ["features"], to=TensorProto.FLOAT),
    ]
