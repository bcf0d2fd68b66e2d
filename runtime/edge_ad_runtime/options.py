"""`RunOptions`: how an artifact is run on this machine. None of it can change a verdict."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from edge_ad_runtime.artifact.words import EngineName
from edge_ad_runtime.errors import ConfigError

SearchChoice = Literal["artifact", "exact"]


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """How an artifact is run.

    Attributes:
        engine: the engine that runs the networks.
        threads: the number of CPU threads of the networks and the index. None means all cores.
            (The exact search's matrix product follows ``OPENBLAS_NUM_THREADS``.)
        search: whether to use the artifact's own search or the exact one. The score is the same.
    """

    engine: EngineName
    threads: int | None = None
    search: SearchChoice = "artifact"

    def __post_init__(self) -> None:
        if self.threads is not None and self.threads < 1:
            raise ConfigError(f"threads is {self.threads}; it must be at least 1")
