"""Samples as a trace that chrome://tracing and ui.perfetto.dev open: one bar per stage and image.

The trace is in the Trace Event Format. Complete events (``X``) have a start ``ts`` and a duration
``dur`` in microseconds, and a bar lies below the bar that encloses it. Metadata events (``M``) name
the rows.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class TraceRow:
    """One row of the viewer.

    Attributes:
        name: the text at the left of the row.
        starts_ms: when each image was begun.
        samples_ms: what each image took, by stage in pipeline order. ``total`` encloses the others.
    """

    name: str
    starts_ms: Sequence[float]
    samples_ms: Mapping[str, Sequence[float]]


def to_trace(rows: Sequence[TraceRow]) -> str:
    """The content of a trace file."""
    events: list[dict[str, object]] = []
    for tid, row in enumerate(rows, start=1):
        events.append(
            {"name": "thread_name", "ph": "M", "pid": 1, "tid": tid, "args": {"name": row.name}}
        )
        events += _events(row, tid)
    return json.dumps({"traceEvents": events, "displayTimeUnit": "ms"})


def _events(row: TraceRow, tid: int) -> list[dict[str, object]]:
    def event(name: str, start_ms: float, ms: float, image: int) -> dict[str, object]:
        return {
            "name": name, "cat": "stage", "ph": "X", "ts": start_ms * 1e3, "dur": ms * 1e3,
            "pid": 1, "tid": tid, "args": {"image": image},
        }  # fmt: skip

    events = []
    for i, start_ms in enumerate(row.starts_ms):
        events.append(event(f"image {i}", start_ms, row.samples_ms["total"][i], i))
        for stage, samples in row.samples_ms.items():
            if stage != "total":
                events.append(event(stage, start_ms, samples[i], i))
                start_ms += samples[i]
    return events
