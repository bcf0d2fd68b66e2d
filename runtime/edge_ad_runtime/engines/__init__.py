"""Engines run ``features.onnx``; one file each, imported only when asked for.

Every engine gives the features of the graph it is given, in the precision that the graph was
exported with: none may choose a faster one by itself (OpenVINO would), and none may quietly run on
another device (ONNX Runtime would).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal, Protocol, get_args

import numpy as np
from numpy.typing import NDArray

from edge_ad_runtime.errors import ConfigError

EngineName = Literal[
    "onnxruntime", "onnxruntime-cuda", "onnxruntime-tensorrt", "openvino", "tensorrt"
]
EngineChoice = EngineName | Literal["auto"]  # auto: the one that an artifact was exported for
Precision = Literal["fp32", "fp16", "bf16", "int8"]

ENGINES: tuple[EngineName, ...] = get_args(EngineName)
CPU_ENGINES: tuple[EngineName, ...] = ("onnxruntime", "openvino")


@dataclass(frozen=True, kw_only=True)
class Graph:
    """What an engine runs.

    Attributes:
        onnx: the bytes of ``features.onnx``, already hashed.
        precision: what its convolutions compute in.
        plans: folder of plans compiled from it (the artifact's ``engines``); None: there is none.
    """

    onnx: bytes
    precision: Precision = "fp32"
    plans: Path | None = None

    @cached_property
    def sha256(self) -> str:
        """Of the ONNX bytes: what a plan is keyed by."""
        return hashlib.sha256(self.onnx).hexdigest()


class Engine(Protocol):
    """What every engine can do; safe to call from several threads.

    Attributes:
        name: one of `ENGINES`.
        version: of the library that runs the graph.
        device: what it runs on, ``cpu`` or a GPU's name.
    """

    name: EngineName
    version: str
    device: str

    def run(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Images ``(N, H, W, 3)`` uint8 RGB to features ``(N, rows, cols, D)`` float32.

        Raises:
            EngineError: the engine failed, or the batch is larger than it was built for.
        """

    def run_with_rows(
        self, images: NDArray[np.uint8]
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """The same, and the nearest bank rows ``(N, rows * cols, k)`` that the graph has found."""


def open_engine(name: EngineName, graph: Graph, *, threads: int | None = None) -> Engine:
    """Load the graph into an engine.

    Args:
        name: one of `ENGINES`.
        graph: what to run.
        threads: CPU threads; None leaves the engine's own choice (all cores).

    Raises:
        EngineError: not installed (says what to install), no such device here, or it refuses the
            graph.
        ConfigError: there is no engine of that name.
    """
    if name == "openvino":
        from edge_ad_runtime.engines.openvino import OpenVinoEngine

        return OpenVinoEngine(graph, threads=threads)
    if name == "tensorrt":
        from edge_ad_runtime.engines.tensorrt.engine import TensorRTEngine

        return TensorRTEngine(graph)
    if name in ENGINES:
        from edge_ad_runtime.engines.onnxruntime import OnnxRuntimeEngine

        return OnnxRuntimeEngine(graph, name=name, threads=threads)
    raise ConfigError(f"engine is {name!r}; it must be one of {', '.join(ENGINES)}")
