"""What a hashed ``features.onnx`` may not contain, told from its bytes before an engine runs it.

A hash says that a graph is the exported one, not that whoever exported it meant well. Two things
are looked for, with the little of protobuf that it takes: sub-graphs, without which no ONNX
operator repeats or branches (a loop of 2^62 rounds would hang the line), and tensors whose data are
in other files than the one that the manifest names for them, which no hash covers. (onnx.proto,
ONNX 1.17, gives the field numbers.)
"""

from __future__ import annotations

from collections.abc import Iterator

_VARINT, _FIXED_64, _BYTES, _FIXED_32 = 0, 1, 2, 5
_EXTERNAL = 1

# Each name is a message of onnx.proto and one of its fields, and the value is the field's number.
_MODEL_GRAPH, _MODEL_FUNCTIONS = 7, 25
_GRAPH_NODE, _GRAPH_INITIALIZER, _GRAPH_SPARSE = 1, 5, 15
_NODE_OP_TYPE, _NODE_ATTRIBUTE = 4, 5
_ATTRIBUTE_TENSOR, _ATTRIBUTE_GRAPH, _ATTRIBUTE_GRAPHS = 5, 6, 11
_TENSOR_EXTERNAL_DATA, _TENSOR_DATA_LOCATION = 13, 14
_ENTRY_KEY, _ENTRY_VALUE = 1, 2


def check_graph(onnx: bytes, *, data: str | None = None) -> None:
    """Refuse a graph that could repeat, call functions of its own, or read other files.

    Args:
        onnx: the graph.
        data: the name of the one file beside the graph that its tensors may be in. None means that
            all tensors must be in the graph.

    Raises:
        ValueError: the graph could do one of these, or it is no ONNX model.
    """
    for field, model_value in _fields(memoryview(onnx)):
        if field == _MODEL_FUNCTIONS:
            raise ValueError("defines functions of its own, which no export of ours does")
        if field == _MODEL_GRAPH:
            _check(_message(model_value), data)


def _check(graph: memoryview, data: str | None) -> None:
    for field, value in _fields(graph):
        if field == _GRAPH_NODE:
            _check_node(_message(value))
        elif field == _GRAPH_INITIALIZER:
            _check_tensor(_message(value), data)
        elif field == _GRAPH_SPARSE:
            raise ValueError("holds sparse tensors, which no export of ours does")


def _check_node(node: memoryview) -> None:
    name = b""
    for field, value in _fields(node):
        if field == _NODE_OP_TYPE:
            name = bytes(_message(value))
        if field == _NODE_ATTRIBUTE:
            for part, inner in _fields(_message(value)):
                if part in (_ATTRIBUTE_GRAPH, _ATTRIBUTE_GRAPHS):
                    kind = name.decode("ascii", "replace") or "an operator"
                    raise ValueError(f"holds a graph within {kind}, which could run for ever")
                if part == _ATTRIBUTE_TENSOR:
                    _check_tensor(_message(inner), None)


def _check_tensor(tensor: memoryview, data: str | None) -> None:
    is_outside, locations = False, []
    for field, value in _fields(tensor):
        if field == _TENSOR_DATA_LOCATION and value == _EXTERNAL:
            is_outside = True
        if field == _TENSOR_EXTERNAL_DATA:
            is_outside = True
            entry = {part: bytes(_message(inner)) for part, inner in _fields(_message(value))}
            if entry.get(_ENTRY_KEY) == b"location":
                locations.append(entry.get(_ENTRY_VALUE, b"").decode("utf-8", "replace"))
    if is_outside and (data is None or locations != [data]):
        raise ValueError("reads tensors from other files, which no hash covers")


def _message(value: int | memoryview) -> memoryview:
    if isinstance(value, int):
        raise ValueError("not an ONNX model: a number where a message belongs")
    return value


def _fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """The numbers and values of a message's fields, read from protobuf's wire format."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        field, kind = key >> 3, key & 7
        if kind == _VARINT:
            number, at = _varint(message, at)
            yield field, number
            continue
        if kind == _BYTES:
            length, at = _varint(message, at)
        elif kind in (_FIXED_64, _FIXED_32):
            length = 8 if kind == _FIXED_64 else 4
        else:
            raise ValueError(f"not an ONNX model: a field of kind {kind}")
        if at + length > len(message):
            raise ValueError("not an ONNX model: it ends inside a field")
        yield field, message[at : at + length]
        at += length


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """Read a number that is written with seven bits per byte, and give the place where it ends."""
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(message):
            raise ValueError("not an ONNX model: it ends inside a number")
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise ValueError("not an ONNX model: a number of more than 64 bits")
