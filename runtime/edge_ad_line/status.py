"""How a line is, as JSON: one record for people, for metrics and for the broker."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from edge_ad_line.station import Station

State = Literal["ready", "running", "degraded", "stopping"]


def state_of(
    *,
    is_started: bool,
    is_stopping: bool,
    cameras: Mapping[str, Any],
    sinks: Mapping[str, Any],
    store: Mapping[str, Any],
) -> State:
    """One word for all: ``degraded`` if a camera, a sink or the disk is not well."""
    if is_stopping:
        return "stopping"
    if not is_started:
        return "ready"
    is_well = (
        all(camera["is_up"] for camera in cameras.values())
        and all(sink["is_up"] for sink in sinks.values())
        and not store["is_nearly_full"]
    )
    return "running" if is_well else "degraded"


def part_record(station: Station, before: tuple[str, ...]) -> dict[str, Any]:
    """JSON of a part.

    Args:
        station: the part.
        before: the artifacts that it can be rolled back to, the next one last.
    """
    live = station.live
    verified = datetime.fromisoformat(live.verified_at.replace("Z", "+00:00"))
    return {
        "artifact": live.sha256,
        "verified_at": live.verified_at,
        "verified_s": verified.timestamp(),
        "threshold": live.detector.manifest.calibration.threshold,
        "camera": station.camera,
        "waiting": station.waiting,
        "before": list(before),
        "checks_place": live.limits.most_moved is not None,
        "drift": station.drift.to_record(live),
    }
