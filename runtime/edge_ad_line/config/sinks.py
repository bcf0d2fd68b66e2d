"""``[[sink]]``: where verdicts go, one class for each ``kind``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from edge_ad_line.config.words import Count, Milliseconds, Name, Text, path_field
from edge_ad_runtime.artifact.bounds import AtMost, Between, Matching
from edge_ad_runtime.artifact.strict import optional


@dataclass(frozen=True, kw_only=True)
class MqttSink:
    """Verdicts to a broker: QoS 1 each, and a retained status with a will.

    Attributes:
        kind: ``mqtt``.
        name: the sink's name.
        host: the broker.
        port: its port, 1883 or, with TLS, usually 8883.
        username: the user, if the broker asks for one.
        password_file: a file that holds the password alone.
        tls: whether to speak TLS.
        ca_file: the certificates to trust, PEM. None trusts those of the system.
        certificate_file: this device's own certificate, PEM.
        key_file: its key, PEM.
        keepalive_s: the broker tells the will after one and a half of these.
        most_messages: so many may wait. Then the oldest good verdict is dropped, and counted.
        most_per_second: how fast what has waited is sent.
    """

    kind: Literal["mqtt"]
    name: Name
    host: Text
    port: Annotated[int, Between(1, 65535)] = optional(1883)
    username: Text | None = optional()
    password_file: str | None = path_field(default=None)
    tls: bool = optional(False)
    ca_file: str | None = path_field(default=None)
    certificate_file: str | None = path_field(default=None)
    key_file: str | None = path_field(default=None)
    keepalive_s: Annotated[int, Between(1, 3600)] = optional(10)
    most_messages: Count = optional(1_000_000)
    most_per_second: Annotated[float, Between(0.1, 10_000)] = optional(100.0)


@dataclass(frozen=True, kw_only=True)
class WebhookSink:
    """Verdicts to an HTTP server, one POST each, repeated until it says 2xx.

    Attributes:
        kind: ``webhook``.
        name: the sink's name.
        url: where to post.
        token_file: a file that holds the bearer token alone.
        timeout_ms: how long a request may take.
        most_messages: see `MqttSink`.
        most_per_second: see `MqttSink`.
    """

    kind: Literal["webhook"]
    name: Name
    url: Annotated[str, AtMost(1000), Matching("https?://.+", "an http or https address")]
    token_file: str | None = path_field(default=None)
    timeout_ms: Milliseconds = optional(5000)
    most_messages: Count = optional(1_000_000)
    most_per_second: Annotated[float, Between(0.1, 10_000)] = optional(100.0)


@dataclass(frozen=True, kw_only=True)
class JsonLinesSink:
    """Verdicts appended to a file, one JSON record a line.

    Attributes:
        kind: ``json-lines``.
        name: the sink's name.
        file: the file. A log rotation may take it away at any time.
        most_messages: see `MqttSink`.
        most_per_second: see `MqttSink`.
    """

    kind: Literal["json-lines"]
    name: Name
    file: str = path_field()
    most_messages: Count = optional(1_000_000)
    most_per_second: Annotated[float, Between(0.1, 10_000)] = optional(10_000.0)


SinkConfig = MqttSink | WebhookSink | JsonLinesSink
