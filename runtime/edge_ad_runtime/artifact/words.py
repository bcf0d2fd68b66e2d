"""The vocabulary of an artifact: the words that a manifest may use, and the bounds of its numbers.

Bounds are wide. They keep out what would hang, overflow or leave the folder, not what is unusual.
"""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from edge_ad_runtime.artifact.strict import AtMost, Between, Matching

EngineName = Literal[
    "onnxruntime", "onnxruntime-cuda", "onnxruntime-tensorrt", "openvino", "tensorrt"
]
EngineChoice = EngineName | Literal["auto"]  # auto is the one that an artifact was exported for
Precision = Literal["fp32", "fp16", "bf16", "int8"]
QuantisedFor = Literal["any", "vnni", "aarch64", "gpu"]  # the processors of an int8 graph

ENGINES: tuple[EngineName, ...] = get_args(EngineName)
CPU_ENGINES: tuple[EngineName, ...] = ("onnxruntime", "openvino")

_PART = "[A-Za-z0-9_][A-Za-z0-9._-]{0,99}"

Text = Annotated[str, AtMost(2000)]
Name = Annotated[str, Matching("[a-z][a-z0-9_]{0,49}", "a word of small letters, digits and _")]
FolderName = Annotated[
    str, Matching(f"({_PART})?", "the name of a folder in the artifact, or empty")
]
FileName = Annotated[
    str, Matching(f"({_PART}/){{0,3}}{_PART}", "a path below the artifact's folder")
]
Sha256 = Annotated[str, Matching("[0-9a-f]{64}", "a SHA-256")]
Side = Annotated[int, Between(1, 65_536)]
Rows = Annotated[int, Between(1, 2**31 - 1)]
Fraction = Annotated[float, Between(0, 1)]
Positive = Annotated[float, Between(1e-12, 1e12)]
NotNegative = Annotated[float, Between(0, 1e12)]
Score = Annotated[float, Between(-1e12, 1e12)]
