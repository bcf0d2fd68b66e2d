"""``line.toml``: what a line is made of. Every key is checked, and an unknown one is refused.

Paths are relative to the file's own folder. A ``[[part]]`` is one artifact and the camera that sees
the part, if any. Parts without a camera are scored over HTTP.
"""

from edge_ad_line.config.cameras import (
    AravisCamera,
    CameraConfig,
    FolderCamera,
    HttpCamera,
    StreamCamera,
)
from edge_ad_line.config.line import LineConfig
from edge_ad_line.config.part import DeviceConfig, PartConfig
from edge_ad_line.config.sinks import JsonLinesSink, MqttSink, SinkConfig, WebhookSink
from edge_ad_line.config.store import Keep, KeepConfig, StoreConfig
from edge_ad_line.config.web import WebConfig
from edge_ad_line.config.words import Mode

__all__ = [
    "AravisCamera",
    "CameraConfig",
    "DeviceConfig",
    "FolderCamera",
    "HttpCamera",
    "JsonLinesSink",
    "Keep",
    "KeepConfig",
    "LineConfig",
    "Mode",
    "MqttSink",
    "PartConfig",
    "SinkConfig",
    "StoreConfig",
    "StreamCamera",
    "WebConfig",
    "WebhookSink",
]
