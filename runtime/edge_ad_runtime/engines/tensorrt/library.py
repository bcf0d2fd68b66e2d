"""Import TensorRT or TensorRT-RTX, which have the same interface."""

from __future__ import annotations

import importlib
import re
from collections import deque
from dataclasses import dataclass
from functools import cache
from typing import Any, get_args

from edge_ad_runtime.engines import Graph
from edge_ad_runtime.engines.tensorrt.plans import LibraryName, PlanKey
from edge_ad_runtime.errors import EngineError

Capability = tuple[int, int]
"""The compute capability of a GPU, such as ``(8, 9)``."""


@dataclass(frozen=True)
class Library:
    """One of the two libraries, imported.

    Attributes:
        name: which of the two it is.
        api: the library's Python module.
        log: the library's one logger, which keeps the last errors in ``log.errors``.
    """

    name: LibraryName
    api: Any
    log: Any

    @property
    def version(self) -> str:
        """The library's version, such as ``10.3.0``."""
        return str(self.api.__version__)

    def key(self, graph: Graph, capability: Capability, gpu: str = "") -> PlanKey:
        """The key of the graph's plan for a GPU, whose name matters to TensorRT only."""
        target = "sm{}{}".format(*capability)
        if self.name == "tensorrt":
            target += "-" + re.sub(r"[^a-z0-9]+", "-", gpu.lower()).strip("-")
        return PlanKey(
            library=self.name, version=self.version, target=target, graph_sha256=graph.sha256
        )

    def made(self, what: Any, failure: str) -> Any:
        """Give ``what`` back, or raise EngineError if it is None, with what TensorRT's log says."""
        if what is None:
            raise EngineError(f"{self.name} {self.version} {failure}: {self.reason()}")
        return what

    def reason(self) -> str:
        """The first of the last errors in the log. The log is emptied."""
        errors = [*self.log.errors, "it does not say why"]
        self.log.errors.clear()
        return " ".join(str(errors[0]).split())


def open_library(*names: LibraryName) -> Library:
    """Open the first of these that is installed: by default TensorRT, or else TensorRT-RTX.

    Raises:
        EngineError: none is installed (the message says what to install), or it cannot be loaded.
    """
    wanted: tuple[LibraryName, ...] = names or get_args(LibraryName)
    missing = []
    for name in wanted:
        try:
            api = importlib.import_module(name)
        except ImportError as exc:
            missing.append(str(exc))
        except OSError as exc:  # the package is there, but the library that it loads is not
            raise EngineError(f"{name} cannot be loaded: {exc}") from exc
        else:
            return Library(name, api, _log(api))
    extras = (f"'edge-ad-runtime[{name.replace('_', '-')}]'" for name in wanted)
    raise EngineError(
        f"TensorRT is not installed; pip install {' or '.join(extras)} ({'; '.join(missing)})"
    )


@cache  # the first logger that a library is given serves everything in the process
def _log(api: Any) -> Any:
    class Log(api.ILogger):  # type: ignore[misc]  # known when it is imported
        def __init__(self) -> None:
            super().__init__()
            self.errors: deque[str] = deque(maxlen=16)

        def log(self, severity: Any, message: str) -> None:
            if severity in (api.ILogger.ERROR, api.ILogger.INTERNAL_ERROR):
                self.errors.append(message)

    return Log()
