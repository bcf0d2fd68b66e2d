"""`Metrics`: what a line counts, in one Prometheus registry."""

from __future__ import annotations

from prometheus_client import CollectorRegistry


class Metrics:
    """The registry of one line, for ``prometheus_client.generate_latest``.

    Attributes:
        registry: all that is counted.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
