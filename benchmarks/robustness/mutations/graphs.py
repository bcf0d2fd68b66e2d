"""Graphs that are hostile under the right hash, changed as protobuf and as ONNX."""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from benchmarks.robustness.mutations.base import Base, Mutation
from benchmarks.robustness.mutations.damaged import changed_bytes

GRAPH = "features.onnx"
_TEXTS = (
    "", "\0", "a" * 100_000, "../../etc/passwd", "%n%s", "\x1b[31m", "é" * 1000, "/dev/zero",
    "features", "image", "\u202e", "ai.onnx.ml", "com.microsoft", "*",
)  # fmt: skip
_OPS = (
    "Loop", "If", "Scan", "SequenceMap", "Identity", "Softmax", "Sigmoid", "Relu", "Neg", "Exp",
    "Log", "Sqrt", "Reshape", "Tile", "Expand", "ConstantOfShape", "Range", "RandomNormal",
    "RandomUniformLike", "Resize", "Pad", "Gather", "ScatterND", "TopK", "NonZero", "Compress",
    "Unique", "StringNormalizer", "TfIdfVectorizer", "Einsum", "LSTM", "Attention", "Optional",
    "SequenceConstruct", "SplitToSequence", "ConcatFromSequence", "RegexFullMatch", "ImageDecoder",
    "DFT", "Det", "MaxUnpool", "NonMaxSuppression", "GridSample", "RoiAlign", "QuantizeLinear",
    "CumSum", "Shape", "Size", "Where", "Dropout", "BatchNormalization", "LRN", "EyeLike",
    "Bernoulli", "NoSuchOp",
)  # fmt: skip
_HUGE = (0, -1, 2, 1 << 15, 1 << 20, 1 << 31, 1 << 40, (1 << 63) - 1, -(1 << 63))


def replaced_graph(base: Base, rng: random.Random) -> Mutation:
    """One or two changes to the graph."""
    model = onnx.load_from_string(base.files[GRAPH])
    done = []
    for _ in range(rng.choice([1, 1, 2])):
        how = rng.choice([*_CHANGES])
        done.append(f"{how} {_CHANGES[how](model, rng)}")
    content = model.SerializeToString()
    if rng.random() < 0.2:
        how, content = changed_bytes(content, rng)
        done.append(f"bytes {how}")
    elif rng.random() < 0.1:
        how = rng.choice([*_WIRE])
        content = _WIRE[how](content)
        done.append(how)
    return base.replaced(f"graph: {'; '.join(done)}", {GRAPH: content})


def _node(model: onnx.ModelProto, rng: random.Random) -> onnx.NodeProto:
    found: onnx.NodeProto = rng.choice(model.graph.node)
    return found


def _dims(model: onnx.ModelProto, rng: random.Random) -> str:
    tensor = rng.choice(model.graph.initializer)
    at = rng.randrange(len(tensor.dims))
    tensor.dims[at] = rng.choice([*_HUGE, tensor.dims[at] + 1, tensor.dims[at] - 1])
    return f"of {tensor.name} {list(tensor.dims)}"


def _weights(model: onnx.ModelProto, rng: random.Random) -> str:
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


def _type_of_weights(model: onnx.ModelProto, rng: random.Random) -> str:
    tensor = rng.choice(model.graph.initializer)
    tensor.data_type = rng.choice([*range(27), 99, 2**31 - 1])
    return f"of {tensor.name} {tensor.data_type}"


def _attribute(model: onnx.ModelProto, rng: random.Random) -> str:
    nodes = [node for node in model.graph.node if node.attribute]
    if not nodes:
        return "none is left"
    node = rng.choice(nodes)
    attribute = rng.choice(node.attribute)
    value = rng.choice(_HUGE)
    if attribute.type == onnx.AttributeProto.INTS and attribute.ints:
        attribute.ints[rng.randrange(len(attribute.ints))] = value
        if rng.random() < 0.2:
            attribute.ints.extend([1] * rng.choice([1, 100, 100_000]))
    elif attribute.type == onnx.AttributeProto.INT:
        attribute.i = value
    else:
        attribute.s = rng.choice(_TEXTS).encode()
    if rng.random() < 0.1:
        attribute.type = rng.randrange(15)
    return f"{node.op_type}.{attribute.name} {value}"


def _op(model: onnx.ModelProto, rng: random.Random) -> str:
    node = _node(model, rng)
    was, node.op_type = node.op_type, rng.choice(_OPS)
    if rng.random() < 0.5:
        del node.attribute[:]
    if rng.random() < 0.2:
        node.domain = rng.choice(["com.microsoft", "ai.onnx.ml", "ai.onnx.training", "no.such"])
    return f"{was} is {node.domain} {node.op_type}"


def _wiring(model: onnx.ModelProto, rng: random.Random) -> str:
    """Another input or output: a cycle, a name twice, one that is nobody's."""
    node, other = _node(model, rng), _node(model, rng)
    names = node.input if rng.random() < 0.5 else node.output
    names[rng.randrange(len(names))] = rng.choice([*other.input, *other.output, *_TEXTS])
    return f"of {node.op_type}: {list(node.input)} to {list(node.output)}"[:200]


def _order(model: onnx.ModelProto, rng: random.Random) -> str:
    nodes = [*model.graph.node]
    rng.shuffle(nodes)
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return "of nodes at random"


def _dropped(model: onnx.ModelProto, rng: random.Random) -> str:
    part = rng.choice(["node", "initializer", "input", "output"])
    found = getattr(model.graph, part)
    del found[rng.randrange(len(found)) :]
    return part


def _opset(model: onnx.ModelProto, rng: random.Random) -> str:
    version = rng.choice([-1, 0, 1, 5, 6, 8, 11, 12, 13, 17, 19, 21, 22, 24, 26, 99, 2**31, 2**62])
    if rng.random() < 0.3 or not model.opset_import:
        model.opset_import.append(helper.make_opsetid(rng.choice(_TEXTS), version))
    elif rng.random() < 0.2:
        del model.opset_import[:]
    else:
        model.opset_import[0].version = version
    if rng.random() < 0.3:
        model.ir_version = rng.choice([0, 1, 3, 7, 11, 13, 99, 2**62])
    return f"{version}, IR {model.ir_version}"


def _interface(model: onnx.ModelProto, rng: random.Random) -> str:
    """Inputs and outputs of other names, types and shapes, more of them, or none."""
    graph = model.graph
    value = rng.choice([*graph.input, *graph.output])
    how = rng.choice(["name", "type", "side", "sides", "more", "sequence", "text"])
    if how == "name":
        value.name = rng.choice(_TEXTS)
    elif how == "type":
        value.type.tensor_type.elem_type = rng.choice([*range(24), 99])
    elif how == "side":
        sides = value.type.tensor_type.shape.dim
        if sides:
            rng.choice(sides).dim_value = rng.choice(_HUGE)
    elif how == "sides":
        value.type.tensor_type.shape.dim.add().dim_value = 7
    elif how == "sequence":
        inner = helper.make_tensor_type_proto(TensorProto.FLOAT, [1])
        for _ in range(rng.choice([1, 50, 90])):
            inner = helper.make_sequence_type_proto(inner)
        value.type.CopyFrom(inner)
    elif how == "more":
        for i in range(rng.choice([1, 1000])):
            graph.input.append(helper.make_tensor_value_info(f"i{i}", TensorProto.FLOAT, [1]))
    else:
        value.doc_string = "x" * 1_000_000
    return f"{value.name[:20]!r} {how}"


def _texts(model: onnx.ModelProto, rng: random.Random) -> str:
    text = rng.choice(_TEXTS)
    field = rng.choice(
        ["producer_name", "domain", "doc_string", "graph", "node", "tensor", "props"]
    )
    if field == "graph":
        model.graph.name = text
    elif field == "node":
        _node(model, rng).name = text
    elif field == "tensor":
        rng.choice(model.graph.initializer).name = text
    elif field == "props":
        helper.set_model_props(model, {f"k{i}": text for i in range(rng.choice([1, 1000]))})
    else:
        setattr(model, field, text)
    return f"of {field} {text[:20]!r}"


def _subgraph(model: onnx.ModelProto, rng: random.Random) -> str:
    """A loop, a branch, or a graph within an operator that has none; at the top or deep within."""
    body = helper.make_graph([], "body", [], [])
    for _ in range(rng.choice([0, 1, 12, 20])):
        inner = helper.make_node("If", ["c"], ["x"], then_branch=body)
        body = helper.make_graph([inner], "body", [], [])
    name = rng.choice(["body", "then_branch", "x"])
    node = _node(model, rng)
    node.attribute.append(helper.make_attribute(name, [body] if rng.random() < 0.3 else body))
    if rng.random() < 0.7:
        node.op_type = rng.choice(["Loop", "If", "Scan", "SequenceMap"])
    return f"in {node.op_type}.{name}, {body.ByteSize()} bytes"


def _function(model: onnx.ModelProto, rng: random.Random) -> str:
    """A function; one that calls itself, perhaps, or hides an operator under its name."""
    name, domain = rng.choice(["F", "Relu", "Conv"]), rng.choice(["own", ""])
    inner = helper.make_node(rng.choice(["F", "Identity"]), ["x"], ["y"], domain=domain)
    imports = [helper.make_opsetid("", 18)]
    made = helper.make_function(domain or "own", name, ["x"], ["y"], [inner], imports)
    model.functions.append(made)
    node = _node(model, rng)
    node.op_type, node.domain = name, domain
    return f"{domain}.{name}"


def _external(model: onnx.ModelProto, rng: random.Random) -> str:
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


def _constant(model: onnx.ModelProto, rng: random.Random) -> str:
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


def _sparse(model: onnx.ModelProto, rng: random.Random) -> str:
    values = helper.make_tensor("sparse", TensorProto.FLOAT, [1], [1.0])
    indices = helper.make_tensor("at", TensorProto.INT64, [1], [rng.choice(_HUGE)])
    sparse = helper.make_sparse_tensor(values, indices, [rng.choice(_HUGE)])
    if rng.random() < 0.5:
        model.graph.sparse_initializer.append(sparse)
    else:
        _node(model, rng).attribute.append(helper.make_attribute("sparse_value", sparse))
    return "tensor"


def _long(model: onnx.ModelProto, rng: random.Random) -> str:
    """Many nodes in a row, or all from one."""
    count, last = rng.choice([100, 3000]), "features"
    for node in model.graph.node:
        for i, name in enumerate(node.output):
            node.output[i] = "before" if name == "features" else name
    names = ["before", *(f"n{i}" for i in range(count)), last]
    op = rng.choice(["Identity", "Neg", "Relu"])
    pairs = zip(names, names[1:], strict=False)
    model.graph.node.extend(helper.make_node(op, [one], [next_]) for one, next_ in pairs)
    return f"{count} of {op}"


def _tensor_fields(model: onnx.ModelProto, rng: random.Random) -> str:
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
        tensor.segment.begin, tensor.segment.end = rng.choice(_HUGE), rng.choice(_HUGE)
    return f"of {tensor.name}: {how}"


def _training(model: onnx.ModelProto, rng: random.Random) -> str:
    info = model.training_info.add()
    info.algorithm.CopyFrom(model.graph)
    annotation = model.graph.quantization_annotation.add()
    annotation.tensor_name = rng.choice(_TEXTS)
    return "information"


_CHANGES: dict[str, Callable[[onnx.ModelProto, random.Random], str]] = {
    "dims": _dims, "weights": _weights, "type": _type_of_weights, "attribute": _attribute,
    "operator": _op, "wiring": _wiring, "order": _order, "dropped": _dropped, "opset": _opset,
    "interface": _interface, "text": _texts, "sub-graph": _subgraph, "function": _function,
    "external": _external, "constant": _constant, "sparse": _sparse, "long": _long,
    "tensor": _tensor_fields, "training": _training,
}  # fmt: skip


def _varint(value: int) -> bytes:
    out = b""
    while value > 0x7F:
        out, value = out + bytes([value & 0x7F | 0x80]), value >> 7
    return out + bytes([value])


def _field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _nested(content: bytes) -> bytes:
    inner = b""
    for _ in range(5000):
        inner = _field(7, _field(1, _field(5, _field(6, inner))))[:1_000_000]
    return content + inner


# what protobuf allows and no library writes
_WIRE: dict[str, Callable[[bytes], bytes]] = {
    "twice": lambda content: content + content,
    "a second, empty graph": lambda content: content + _field(7, b""),
    "a hidden loop in a second graph": lambda content: (
        content + _field(7, _field(1, _field(4, b"Loop") + _field(5, _field(6, b""))))
    ),
    "nested": _nested,
    "unknown fields": lambda content: content + _field(1000, bytes(100_000)) * 3,
    "a group": lambda content: content + b"\xfb\x3e\xfc\x3e",
    "an end without a group": lambda content: content + b"\xfc\x3e",
    "a long varint": lambda content: b"\x08" + b"\x8a" + b"\x80" * 7 + b"\x00" + content,
    "field number 0": lambda content: content + b"\x02\x00",
    "a key of ten bytes": lambda content: content + b"\xba\x80\x80\x80\x80\x80\x80\x80\x80\x01\x00",
    "a length of 2^64 - 1": lambda content: content + b"\x3a" + b"\xff" * 9 + b"\x01",
    "the graph as a number": lambda content: content + b"\x38\x07",
}
