"""A message as a CloudEvent 1.0 in structured JSON, the same for every protocol."""

from __future__ import annotations

from typing import Any

from edge_ad_line.config import DeviceConfig
from edge_ad_line.result import utc_text
from edge_ad_line.store.outbox import Message
from edge_ad_runtime.escaping import json_text

MEDIA_TYPE = "application/cloudevents+json"


def cloud_event(message: Message, device: DeviceConfig) -> dict[str, Any]:
    """The event. Its ``id`` is the record's, so that a receiver can tell what it has had twice."""
    record = message.record
    return {
        "specversion": "1.0",
        "id": record["id"],
        "source": f"/edge_ad/{device.site}/{device.name}",
        "type": f"edge_ad.{message.kind}.v1",
        "time": record.get("captured_at") or utc_text(),
        "subject": record.get("part_id") or record.get("part") or device.name,
        "datacontenttype": "application/json",
        "data": record,
    }


def event_text(message: Message, device: DeviceConfig) -> str:
    """The event as JSON."""
    return json_text(cloud_event(message, device))
