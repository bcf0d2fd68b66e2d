"""A sink that appends records to a file, one a line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edge_ad_line.config import JsonLinesSink
from edge_ad_line.sinks.sink import SinkError
from edge_ad_line.store.outbox import Message
from edge_ad_runtime.artifact.atomic import sync
from edge_ad_runtime.errors import ConfigError
from edge_ad_runtime.escaping import json_text
from edge_ad_runtime.lines_file import LinesFile


class JsonLines:
    """See `JsonLinesSink`. A line is on the disk before its message is forgotten."""

    def __init__(self, config: JsonLinesSink) -> None:
        self._path = Path(config.file)
        self._lines: LinesFile | None = None

    def open(self) -> None:
        """Nothing is opened yet, so that a disk that is not there is no error."""

    def send(self, messages: Sequence[Message]) -> None:
        """See `Sink`."""
        arrived = 0
        try:
            if self._lines is None:
                self._lines = LinesFile(self._path)
            for message in messages:
                self._lines.append(json_text(_line(message)))
                arrived += 1
            sync(self._path)
        except (ConfigError, OSError) as exc:
            raise SinkError(str(exc), arrived=arrived) from exc

    def health(self, record: dict[str, Any]) -> None:
        """A file of verdicts holds verdicts."""

    def check(self) -> None:
        """See `Sink`."""
        LinesFile(self._path)

    def close(self) -> None:
        """Nothing is open."""


def _line(message: Message) -> dict[str, Any]:
    """A result as it is, and anything else with its kind before."""
    return message.record if message.kind == "result" else {"kind": message.kind, **message.record}
