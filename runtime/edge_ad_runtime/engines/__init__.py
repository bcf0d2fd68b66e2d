"""Engines run ``features.onnx``; one file each, imported only when asked for."""

from __future__ import annotations

from typing import Literal, Protocol, get_args

import numpy as np
from numpy.typing import NDArray

from edge_ad_runtime.errors import ConfigError

EngineName = Literal["auto", "onnxruntime"]


class Engine(Protocol):
    """What every engine can do; safe to call from several threads."""

    name: str
    version: str

    def run(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Images ``(N, H, W, 3)`` uint8 RGB to features ``(N, rows, cols, D)`` float32."""

    def run_with_rows(
        self, images: NDArray[np.uint8]
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """The same, and the nearest bank rows ``(N, rows * cols, k)`` that the graph has found."""


def open_engine(name: EngineName, graph: bytes, *, threads: int | None) -> Engine:
    """Load the graph into an engine.

    Args:
        name: ``auto`` takes ONNX Runtime on the CPU.
        graph: the bytes of ``features.onnx``, already hashed.
        threads: CPU threads; None leaves the engine's own choice (all cores).

    Raises:
        EngineError: not installed (says what to install), or it refuses the graph.
        ConfigError: there is no engine of that name.
    """
    if name not in get_args(EngineName):
        raise ConfigError(
            f"engine is {name!r}; it must be one of {', '.join(get_args(EngineName))}"
        )
    from edge_ad_runtime.engines.onnxruntime import OnnxRuntimeEngine

    return OnnxRuntimeEngine(graph, threads=threads)
