"""Changes to a graph's tensors: their sides, types, values, and where their data are."""

from __future__ import annotations

import random

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

HUGE = (0, -1, 2, 1 << 15, 1 << 20, 1 << 31, 1 << 40, (1 << 63) - 1, -(1 << 63))


def a_node(model: onnx.ModelProto, rng: random.Random) -> onnx.NodeProto:
    """Any of them."""
    found: onnx.NodeProto = rng.choice(model.graph.node)
    return found


def dims(model: onnx.ModelProto, rng: random.Random) -> str:
    tensor = rng.choice(model.graph.initializer)
    at = rng.randrange(len(tensor.dims))
    tensor.dims[at] = rng.choice([*HUGE, tensor.dims[at] + 1, tensor.dims[at] - 1])
    return f"of {tensor.name} {list(tensor.dims)}"


def weights(model: onnx.ModelProto, rng: random.Random) -> str:
    at = rng.randrange(len(model.graph.initializer))
    tensor = model.graph.initializer[at]
    value = rng.choice([np.nan, np.inf, 0.0, 1e38, -1.0, 1e-42])
    try:
        array = np.array(numpy_helper.to_array(tensor))
    except (TypeError, ValueError, KeyError):
        return f"of {tensor.name} are no array any more"
    if rng.random() < 0.5:
        array[...] = value
    else:
        array.reshape(-1)[rng.randrange(array.size)] = value
    tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
    return f"of {tensor.name} {value}"


def type_of_weights(model: onnx.ModelProto, rng: random.Random) -> str:
    tensor = rng.choice(model.graph.initializer)
    tensor.data_type = rng.choice([*range(27), 99, 2**31 - 1])
    return f"of {tensor.name} {tensor.data_type}"


def external(model: onnx.ModelProto, rng: random.Random) -> str:
    tensor = rng.choice(model.graph.initializer)
    if rng.random() < 0.8:
        tensor.data_location = TensorProto.EXTERNAL
    pairs = {
        "location": rng.choice(
            ["/etc/passwd", "bank.npy", "../x", "/dev/zero", "", "*/_ORT_MEM_ADDR_/*"]
        ),
        "offset": rng.choice(["0", "-1", "99999999999", "x"]),
        "length": rng.choice(["64", "-1", "99999999999"]),
    }
    for key, value in pairs.items():
        entry = tensor.external_data.add()
        entry.key, entry.value = key, value
    if rng.random() < 0.5:
        tensor.ClearField("raw_data")
    return f"{tensor.name} at {pairs['location']}"


def constant(model: onnx.ModelProto, rng: random.Random) -> str:
    """A node that makes a tensor of a size of its own choosing, in the way or beside it."""
    side = rng.choice([1, 1000, 1 << 20, 1 << 33, 1 << 62, -1])
    shape = numpy_helper.from_array(
        np.array([side] * rng.choice([1, 2]), np.int64), "hostile_shape"
    )
    model.graph.initializer.append(shape)
    model.graph.node.append(helper.make_node("ConstantOfShape", ["hostile_shape"], ["hostile"]))
    if rng.random() < 0.5:
        model.graph.output.append(helper.make_tensor_value_info("hostile", TensorProto.FLOAT, None))
    return f"of shape {side}"


def sparse(model: onnx.ModelProto, rng: random.Random) -> str:
    values = helper.make_tensor("sparse", TensorProto.FLOAT, [1], [1.0])
    indices = helper.make_tensor("at", TensorProto.INT64, [1], [rng.choice(HUGE)])
    sparse = helper.make_sparse_tensor(values, indices, [rng.choice(HUGE)])
    if rng.random() < 0.5:
        model.graph.sparse_initializer.append(sparse)
    else:
        a_node(model, rng).attribute.append(helper.make_attribute("sparse_value", sparse))
    return "tensor"


def tensor_fields(model: onnx.ModelProto, rng: random.Random) -> str:
    """Data in a field that is not the type's, in several, or of another length."""
    tensor = rng.choice(model.graph.initializer)
    how = rng.choice(["cut", "longer", "both", "int64", "none", "text", "segment"])
    if how == "cut":
        tensor.raw_data = tensor.raw_data[: rng.randrange(len(tensor.raw_data) or 1)]
    elif how == "longer":
        tensor.raw_data += bytes(rng.choice([1, 4, 1_000_000]))
    elif how == "both":
        tensor.float_data.extend([1.0] * 10)
    elif how == "int64":
        tensor.ClearField("raw_data")
        tensor.int64_data.extend([1] * 10)
    elif how == "none":
        tensor.ClearField("raw_data")
    elif how == "text":
        tensor.string_data.extend([b"x" * 1000])
    else:
        tensor.segment.begin, tensor.segment.end = rng.choice(HUGE), rng.choice(HUGE)
    return f"of {tensor.name}: {how}"
