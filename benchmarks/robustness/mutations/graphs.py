"""Graphs that are hostile under the right hash, changed as protobuf and as ONNX."""

from __future__ import annotations

import random
from collections.abc import Callable

import onnx
from onnx import TensorProto, helper

from benchmarks.robustness.mutations import tensors
from benchmarks.robustness.mutations.base import Base, Mutation
from benchmarks.robustness.mutations.damaged import changed_bytes
from benchmarks.robustness.mutations.tensors import HUGE, a_node
from benchmarks.robustness.mutations.wire import WIRE

GRAPH = "network.onnx"
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
        how = rng.choice([*WIRE])
        content = WIRE[how](content)
        done.append(how)
    return base.replaced(f"graph: {'; '.join(done)}", {GRAPH: content})


def _attribute(model: onnx.ModelProto, rng: random.Random) -> str:
    nodes = [node for node in model.graph.node if node.attribute]
    if not nodes:
        return "none is left"
    node = rng.choice(nodes)
    attribute = rng.choice(node.attribute)
    value = rng.choice(HUGE)
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
    node = a_node(model, rng)
    was, node.op_type = node.op_type, rng.choice(_OPS)
    if rng.random() < 0.5:
        del node.attribute[:]
    if rng.random() < 0.2:
        node.domain = rng.choice(["com.microsoft", "ai.onnx.ml", "ai.onnx.training", "no.such"])
    return f"{was} is {node.domain} {node.op_type}"


def _wiring(model: onnx.ModelProto, rng: random.Random) -> str:
    """Another input or output: a cycle, a name twice, one that is nobody's."""
    node, other = a_node(model, rng), a_node(model, rng)
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
            rng.choice(sides).dim_value = rng.choice(HUGE)
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
        a_node(model, rng).name = text
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
    node = a_node(model, rng)
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
    node = a_node(model, rng)
    node.op_type, node.domain = name, domain
    return f"{domain}.{name}"


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


def _training(model: onnx.ModelProto, rng: random.Random) -> str:
    info = model.training_info.add()
    info.algorithm.CopyFrom(model.graph)
    annotation = model.graph.quantization_annotation.add()
    annotation.tensor_name = rng.choice(_TEXTS)
    return "information"


_CHANGES: dict[str, Callable[[onnx.ModelProto, random.Random], str]] = {
    "dims": tensors.dims, "weights": tensors.weights, "type": tensors.type_of_weights,
    "attribute": _attribute, "operator": _op, "wiring": _wiring, "order": _order,
    "dropped": _dropped, "opset": _opset, "interface": _interface, "text": _texts,
    "sub-graph": _subgraph, "function": _function, "external": tensors.external,
    "constant": tensors.constant, "sparse": tensors.sparse, "long": _long,
    "tensor": tensors.tensor_fields, "training": _training,
}  # fmt: skip
