"""Requests and answers of the protocol: a JSON header, and the bytes of tensors after it.

https://github.com/kserve/open-inference-protocol and Triton's ``binary_tensor_data`` extension.
"""

from __future__ import annotations

import base64
import binascii
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from starlette.exceptions import HTTPException

from edge_ad_line.web.requests import parsed_json
from edge_ad_runtime.escaping import json_text
from edge_ad_runtime.images import MAX_PIXELS

HEADER_LENGTH = "Inference-Header-Content-Length"
OUTPUTS = {"score": "FP64", "threshold": "FP64", "anomalous": "BOOL", "map": "FP32"}
USUAL = ("score", "threshold", "anomalous")  # the map is larger than the others, and costs more

_DTYPES = {"FP64": "<f8", "FP32": "<f4", "BOOL": "?"}
_MOST_JSON_BYTES = 16_000_000  # a list of numbers takes many times its pixels; binary does not
_REQUEST_KEYS = {"id", "parameters", "inputs", "outputs"}


@dataclass(frozen=True, kw_only=True, eq=False)
class InferRequest:
    """What is asked.

    Attributes:
        id: the client's own, which comes back.
        image: the bytes of an image file, or ``(H, W, 3)`` uint8, RGB.
        outputs: the names of the outputs that are wanted, and whether each is to be binary.
    """

    id: str | None
    image: bytes | NDArray[np.uint8]
    outputs: Mapping[str, bool]


def parsed(body: bytes, header_length: str | None) -> InferRequest:
    """Read a request.

    Raises:
        HTTPException: 400, with what is wrong in it.
    """
    header, binary = _split(body, header_length)
    content = parsed_json(header)
    if not isinstance(content, dict):
        raise _refusal("expected a JSON object")
    if unknown := sorted(set(content) - _REQUEST_KEYS):
        raise _refusal(f"key {unknown[0]!r} is not known here")
    name = content.get("id")
    if name is not None and not isinstance(name, str):
        raise _refusal("id: expected a text")
    tensor = _only_input(content.get("inputs"))
    return InferRequest(
        id=name,
        image=_image(tensor, binary),
        outputs=_wanted(content.get("outputs"), _parameters(content)),
    )


def answered(
    name: str,
    version: str,
    request: InferRequest,
    values: Mapping[str, NDArray[Any]],
    parameters: Mapping[str, Any],
) -> tuple[bytes, dict[str, str]]:
    """Write an answer: its body, and its headers."""
    outputs, binary = [], []
    for output, is_binary in request.outputs.items():
        value = np.ascontiguousarray(values[output], _DTYPES[OUTPUTS[output]])
        described: dict[str, Any] = {
            "name": output,
            "datatype": OUTPUTS[output],
            "shape": list(value.shape),
        }
        if is_binary:
            described["parameters"] = {"binary_data_size": value.nbytes}
            binary.append(value.tobytes())
        else:
            described["data"] = value.ravel().tolist()
        outputs.append(described)
    header = {
        "model_name": name,
        "model_version": version,
        **({} if request.id is None else {"id": request.id}),
        "parameters": dict(parameters),
        "outputs": outputs,
    }
    text = json_text(header).encode()
    if not binary:
        return text, {"Content-Type": "application/json"}
    return b"".join([text, *binary]), {
        "Content-Type": "application/octet-stream",
        HEADER_LENGTH: str(len(text)),
    }


def _split(body: bytes, header_length: str | None) -> tuple[bytes, bytes]:
    length = len(body)
    if header_length is not None:
        if not (header_length.isascii() and header_length.isdigit()) or len(header_length) > 12:
            raise _refusal(f"{HEADER_LENGTH}: expected a number, found {header_length!r}")
        length = int(header_length)
    if length > len(body):
        raise _refusal(f"{HEADER_LENGTH} is {length}, and the body has {len(body)} bytes")
    if length > _MOST_JSON_BYTES:
        raise HTTPException(
            413, f"JSON of more than {_MOST_JSON_BYTES:,} bytes is not read; send binary tensors"
        )
    return body[:length], body[length:]


def _only_input(inputs: Any) -> Mapping[str, Any]:
    if not isinstance(inputs, list) or len(inputs) != 1 or not isinstance(inputs[0], dict):
        raise _refusal("inputs: expected a list of one tensor, 'image'")
    tensor: dict[str, Any] = inputs[0]
    if tensor.get("name") != "image":
        raise _refusal(f"inputs: expected the name 'image', found {tensor.get('name')!r}")
    return tensor


def _image(tensor: Mapping[str, Any], binary: bytes) -> bytes | NDArray[np.uint8]:
    kind, shape = tensor.get("datatype"), tensor.get("shape")
    if not isinstance(shape, list) or not all(type(side) is int for side in shape):
        raise _refusal("image: expected a shape, a list of whole numbers")
    if kind == "BYTES":
        if shape not in ([1], [1, 1]):
            raise _refusal(f"image: expected the shape [1] of BYTES, found {shape}")
        return _file(tensor, binary)
    if kind == "UINT8":
        return _pixels(tensor, binary, shape)
    raise _refusal(f"image: expected the datatype BYTES or UINT8, found {kind!r}")


def _file(tensor: Mapping[str, Any], binary: bytes) -> bytes:
    """An image file: after its length in 4 bytes, or base64 in JSON."""
    if (content := _binary_of(tensor, binary)) is not None:
        if len(content) < 4 or struct.unpack_from("<I", content)[0] != len(content) - 4:
            raise _refusal("image: expected the length of the file in 4 bytes, and the file")
        return content[4:]
    data = tensor.get("data")
    if not isinstance(data, list) or len(data) != 1 or not isinstance(data[0], str):
        raise _refusal("image: expected data, a list of one text of base64")
    try:
        return base64.b64decode(data[0], validate=True)
    except (binascii.Error, ValueError) as exc:
        raise _refusal(f"image: no base64: {exc}") from exc


def _pixels(tensor: Mapping[str, Any], binary: bytes, shape: Sequence[int]) -> NDArray[np.uint8]:
    if len(shape) != 4 or shape[0] != 1 or shape[3] != 3 or min(shape) < 1:
        raise _refusal(f"image: expected the shape [1, height, width, 3] of UINT8, found {shape}")
    count = shape[1] * shape[2] * 3
    if count > 3 * MAX_PIXELS:
        raise _refusal(f"image: more than the {MAX_PIXELS:,} pixels allowed")
    if (content := _binary_of(tensor, binary)) is None:
        content = _listed(tensor.get("data"), count)
    if len(content) != count:
        raise _refusal(f"image: expected {count} bytes as the shape says, found {len(content)}")
    return np.frombuffer(content, np.uint8).reshape(shape[1:])  # (H, W, 3)


def _listed(data: Any, count: int) -> bytes:
    """Numbers in lists, flat or nested."""
    try:
        values = np.array(data)
    except ValueError as exc:  # rows of different lengths
        raise _refusal("image: data: expected numbers in lists, all rows alike") from exc
    if values.dtype.kind not in "iu" or values.size != count:
        raise _refusal(f"image: data: expected {count} whole numbers, found {values.size}")
    if values.min() < 0 or values.max() > 255:
        raise _refusal("image: data: expected numbers of 0 to 255")
    return values.astype(np.uint8).tobytes()


def _binary_of(tensor: Mapping[str, Any], binary: bytes) -> bytes | None:
    """The tensor's bytes after the header, which must be all of them, or None if it is in JSON."""
    size = _parameters(tensor).get("binary_data_size")
    if size is None:
        if binary:
            raise _refusal("there are bytes after the header that belong to no tensor")
        return None
    if "data" in tensor:
        raise _refusal("image: expected data or binary_data_size, found both")
    if type(size) is not int or size != len(binary):
        raise _refusal(f"image: binary_data_size is {size!r}, and {len(binary)} bytes came")
    return binary


def _wanted(outputs: Any, parameters: Mapping[str, Any]) -> dict[str, bool]:
    all_binary = parameters.get("binary_data_output", False) is True
    if outputs is None:
        return dict.fromkeys(USUAL, all_binary)
    if not isinstance(outputs, list) or not outputs:
        raise _refusal("outputs: expected a list of tensors")
    wanted = {}
    for output in outputs:
        name = output.get("name") if isinstance(output, dict) else None
        if not isinstance(name, str) or name not in OUTPUTS:
            raise _refusal(f"outputs: expected names of {', '.join(OUTPUTS)}, found {name!r}")
        wanted[name] = _parameters(output).get("binary_data", all_binary) is True
    return wanted


def _parameters(of: Mapping[str, Any]) -> Mapping[str, Any]:
    parameters = of.get("parameters")
    if parameters is None:
        return {}
    if not isinstance(parameters, dict):
        raise _refusal("parameters: expected an object")
    return parameters


def _refusal(message: str) -> HTTPException:
    return HTTPException(400, message)
