"""Engines run a network's graph. Each has a file or a folder, imported only when it is asked for.

Every engine gives the outputs of its graph in the precision that the graph was exported with. None
may choose a faster precision by itself (OpenVINO would), and none may quietly run on another device
(ONNX Runtime would). What the outputs mean is the head's to say.
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
"""The name of the one input of every graph, which is ``(N, H, W, 3)`` uint8 RGB with any N."""

Outputs = dict[str, NDArray[Any]]
"""The outputs of a graph by name. The first axis of each is the batch's."""


@dataclass(frozen=True, kw_only=True)
class Graph:
    """The graph that an engine runs.

    Attributes:
        onnx: the bytes of the graph, already hashed. If its large tensors are in another file
            beside it (ONNX's external data, because protobuf ends at 2 GB), this is the path of the
            graph instead, and both files have been hashed. A file that an engine reads by its path
            may change meanwhile, so bytes are used wherever they can be.
        precision: the precision that the graph's convolutions compute in.
        plans: the folder of the plans compiled from the graph (the artifact's ``engines``), or None
            if there is none.
        data_sha256: the SHA-256 of the file with the external data, or None without such a file.
    """

    onnx: bytes | Path
    precision: Precision = "fp32"
    plans: Path | None = None
    data_sha256: str | None = None

    @cached_property
    def sha256(self) -> str:
        """The SHA-256 of the graph and of its external data, if any. A plan is keyed by it."""
        content = self.onnx if isinstance(self.onnx, bytes) else self.onnx.read_bytes()
        digest = hashlib.sha256(content)
        if self.data_sha256 is not None:
            digest.update(self.data_sha256.encode())
        return digest.hexdigest()


class Engine(Protocol):
    """What every engine can do. It is safe to call from several threads.

    Attributes:
        name: one of `ENGINES`.
        version: the version of the library that runs the graph.
        device: the device that the graph runs on: ``cpu`` or a GPU's name.
    """

    name: EngineName
    version: str
    device: str

    def run(self, images: NDArray[np.uint8]) -> Outputs:
        """Run the graph on images ``(N, H, W, 3)``, uint8 RGB, and give all its outputs.

        Raises:
            EngineError: the engine failed, or the batch is larger than it was built for.
        """

    def close(self) -> None:
        """Give back the engine's threads and memory. It cannot `run` afterwards."""


def open_engine(name: EngineName, graph: Graph, *, threads: int | None = None) -> Engine:
    """Load the graph into an engine.

    Args:
        name: one of `ENGINES`.
        graph: the graph to run.
        threads: the number of CPU threads. None leaves it to the engine, which takes all cores.

    Raises:
        EngineError: the engine is not installed (the message says what to install), its device is
            not here, or it refuses the graph.
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
