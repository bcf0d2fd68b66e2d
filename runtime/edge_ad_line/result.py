"""`Result`: what the line says of one part, and the one JSON record of it that leaves the device.

The record is what ``edge-ad score --json`` prints, and what a line knows beside it. It is the same
over HTTP, in events, in sinks and in the store. Keys are only ever added.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timezone
from typing import Any, Literal

from edge_ad_runtime.decision.threshold import Verdict

LineVerdict = Verdict | Literal["error"]
Reason = Literal[
    "unreadable",  # the bytes are no image that can be judged
    "overrun",  # more images came than could wait
    "camera",  # the camera is lost, or gave no image in time
    "frozen",  # the camera repeats itself
    "dark",
    "overexposed",
    "blurred",
    "displaced",
    "network",  # the network failed
    "interrupted",  # the device stopped while the image was in hand
]
REASONS: tuple[Reason, ...] = (
    *("unreadable", "overrun", "camera", "frozen", "dark", "overexposed", "blurred"),
    *("displaced", "network", "interrupted"),
)


@dataclass(frozen=True, kw_only=True)
class Result:
    """What the line says of one part.

    Attributes:
        id: a UUID of version 7, which sorts by time.
        seq: the number among the results of this part, from 1 and without gaps. None if the result
            could not be stored.
        part: the name of the part.
        part_id: the name of this very part, if whoever asked gave one.
        camera: the camera that took the image, or None if it came over HTTP.
        captured_at: when the image was taken or came in, UTC.
        verdict: ``good``, ``anomalous``, or ``error`` where it cannot be judged.
        reason: why there is no verdict, one of `REASONS`. None with the other verdicts.
        error: the same in words.
        score: the raw score, or None.
        threshold: the artifact's threshold, or None if no artifact was asked.
        exact: whether the score is certainly the exact search's, or None if the head has no search.
        artifact: the SHA-256 in the manifest of the artifact that judged.
        boxes: where the image is anomalous, see ``regions`` in the runtime's record.
        timings_ms: milliseconds by stage, with ``wait`` before and ``total`` at the end.
        drift: the evidence of drift in decades, or None if it is not watched.
        image: where the image is to be had, or None if it is not kept.
        stored: whether the result is in the store. False only where the disk has failed.
    """

    id: str
    seq: int | None
    part: str
    part_id: str | None
    camera: str | None
    captured_at: str
    verdict: LineVerdict
    reason: Reason | None
    error: str | None
    score: float | None
    threshold: float | None
    exact: bool | None
    artifact: str | None
    boxes: Sequence[Mapping[str, Any]]
    timings_ms: Mapping[str, float]
    drift: float | None
    image: str | None
    stored: bool

    def to_record(self) -> dict[str, Any]:
        """The record, for JSON. All keys are there, in this order."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def of_record(cls, record: Mapping[str, Any]) -> Result:
        """A result from its record. Keys that only the store adds are left out."""
        return cls(**{field.name: record[field.name] for field in fields(cls)})


def utc_text(seconds: float | None = None) -> str:
    """A time as ISO 8601 in UTC with milliseconds, now by default.

    >>> utc_text(0.25)
    '1970-01-01T00:00:00.250Z'
    """
    moment = datetime.fromtimestamp(time.time() if seconds is None else seconds, timezone.utc)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


_last_ms = 0
_lock = threading.Lock()


def new_id() -> str:
    """A UUID of version 7: milliseconds since 1970, then chance. No two of a process sort wrongly.

    A clock that is set back does not make an id that sorts before those that were made already.
    """
    global _last_ms
    with _lock:
        _last_ms = max(_last_ms + 1, time.time_ns() // 1_000_000)
        stamp = _last_ms
    chance = int.from_bytes(os.urandom(10), "big")
    number = stamp << 80 | 7 << 76 | (chance >> 68 & 0xFFF) << 64 | 2 << 62 | chance & (1 << 62) - 1
    digits = f"{number:032x}"
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
