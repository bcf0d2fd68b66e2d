"""Where verdicts go. `make_sink` is the one place that knows all kinds."""

from __future__ import annotations

from edge_ad_line.config import DeviceConfig, JsonLinesSink, SinkConfig, WebhookSink
from edge_ad_line.sinks.sink import RefusedError, Sink, SinkError

__all__ = ["RefusedError", "Sink", "SinkError", "make_sink"]


def make_sink(config: SinkConfig, device: DeviceConfig) -> Sink:
    """The sink of these settings. It is not opened, and its library is only now imported.

    Raises:
        ConfigError: a password or a certificate cannot be read.
    """
    if isinstance(config, JsonLinesSink):
        from edge_ad_line.sinks.json_lines import JsonLines

        return JsonLines(config)
    if isinstance(config, WebhookSink):
        from edge_ad_line.sinks.webhook import Webhook

        return Webhook(config, device)
    from edge_ad_line.sinks.mqtt import Mqtt

    return Mqtt(config, device)
