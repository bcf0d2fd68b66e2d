"""Engines run a network's graph; one file or folder each, imported only when asked for.

Every engine gives the outputs of the graph it is given, in the precision that the graph was
exported with: none may choose a faster one by itself (OpenVINO would), and none may quietly run on
another device (ONNX Runtime would). What outputs mean is the head's to say.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from edge_ad_runtime.artifact.words import ENGINES, EngineName, Precision
from edge_ad_runtime.errors import ConfigError

INPUT = "image"
"""The one input of every graph: ``(N, H, W, 3)`` uint8 RGB, N dynamic."""

Outputs = dict[str, NDArray[Any]]
"""By name; the first axis of each is the batch's."""


@dataclass(frozen=True, kw_only=True)
class Graph:
    """What an engine runs.

    Attributes:
        onnx: the graph, already hashed: its bytes, or the path of a graph whose large tensors are
            in another file beside it (ONNX's external data; protobuf ends at 2 GB), which has been
            hashed too. What an engine reads by its path may change while it does, so bytes are used
            wherever they can be.
        precision: what its convolutions compute in.
        plans: folder of plans compiled from it (the artifact's ``engines``); None: there is none.
        data_sha256: of the file with the external data; None without one.
    """

    onnx: bytes | Path
    precision: Precision = "fp32"
    plans: Path | None = None
    data_sha256: str | None = None

    @cached_property
    def sha256(self) -> str:
        """Of the graph, and of its external data if it has any: what a plan is keyed by."""
        content = self.onnx if isinstance(self.onnx, bytes) else self.onnx.read_bytes()
        digest = hashlib.sha256(content)
        if self.data_sha256 is not None:
            digest.update(self.data_sha256.encode())
        return digest.hexdigest()


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

    def run(self, images: NDArray[np.uint8]) -> Outputs:
        """Images ``(N, H, W, 3)`` uint8 RGB to all outputs of the graph.

        Raises:
            EngineError: the engine failed, or the batch is larger than it was built for.
        """

    def close(self) -> None:
        """Give back its threads and memory; it cannot `run` afterwards."""


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
