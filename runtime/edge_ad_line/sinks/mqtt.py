"""A sink that publishes to an MQTT broker: QoS 1, a retained status, and a will.

Topics are ``edge_ad/v1/SITE/DEVICE/status`` (retained), ``.../health`` (retained), and
``.../PART/result`` and ``.../PART/alarm``. The broker tells ``offline`` when this device is gone.
"""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Sequence
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from edge_ad_line.config import DeviceConfig, MqttSink
from edge_ad_line.result import utc_text
from edge_ad_line.sinks.cloud_event import event_text
from edge_ad_line.sinks.sink import SinkError
from edge_ad_line.sinks.webhook import secret
from edge_ad_line.store.outbox import Message
from edge_ad_runtime.errors import ConfigError
from edge_ad_runtime.escaping import json_text

_ACK_S = 10.0
_CHECK_S = 5.0
_LONGEST_RETRY_S = 4


class Mqtt:
    """See `MqttSink`.

    The client connects, and connects again, in a thread of its own. A message that was published
    and not acknowledged is sent again by the client when the connection is back. So it is waited
    for, and not published a second time.
    """

    def __init__(self, config: MqttSink, device: DeviceConfig) -> None:
        self._config, self._device = config, device
        self._topic = f"edge_ad/v1/{device.site}/{device.name}"
        self._changed = threading.Condition()
        self._is_connected = False
        self._error = "not connected yet"
        self._arrived: set[int] = set()
        self._published: dict[int, int] = {}  # numbers of messages, to the client's own
        self._client = self._new_client()

    def open(self) -> None:
        """See `Sink`."""
        self._client.connect_async(
            self._config.host, self._config.port, keepalive=self._config.keepalive_s
        )
        self._client.loop_start()

    def send(self, messages: Sequence[Message]) -> None:
        """See `Sink`."""
        with self._changed:
            if not self._is_connected:
                raise SinkError(self._told(self._error))
        mids = [self._publish(message) for message in messages]
        until = time.monotonic() + _ACK_S
        with self._changed:
            while not self._arrived.issuperset(mids) and self._is_connected:
                if (left := until - time.monotonic()) <= 0:
                    break
                self._changed.wait(left)
            arrived = next((i for i, mid in enumerate(mids) if mid not in self._arrived), len(mids))
            self._arrived.difference_update(mids[:arrived])
        for message in messages[:arrived]:
            self._published.pop(message.n or 0, None)
        if arrived < len(messages):
            raise SinkError(self._told("the broker acknowledges nothing"), arrived=arrived)

    def health(self, record: dict[str, Any]) -> None:
        """See `Sink`."""
        if self._is_connected:
            self._client.publish(f"{self._topic}/health", json_text(record), qos=1, retain=True)

    def check(self) -> None:
        """See `Sink`."""
        self.open()
        try:
            with self._changed:
                self._changed.wait_for(lambda: self._is_connected, timeout=_CHECK_S)
                if not self._is_connected:
                    raise ConfigError(self._told(self._error))
        finally:
            self.close()

    def close(self) -> None:
        """See `Sink`."""
        if self._is_connected:
            info = self._client.publish(f"{self._topic}/status", self._status("stopped"), 1, True)
            with self._changed:
                self._changed.wait_for(lambda: info.mid in self._arrived, timeout=1.0)
        self._client.disconnect()
        self._client.loop_stop()

    def _publish(self, message: Message) -> int:
        """Publish a message that was not, and give the client's number of it."""
        if message.n is not None and message.n in self._published:
            return self._published[message.n]
        part = message.record.get("part")
        topic = f"{self._topic}/{part}/{message.kind}" if part else f"{self._topic}/{message.kind}"
        mid = self._client.publish(topic, event_text(message, self._device), qos=1).mid
        if message.n is not None:
            self._published[message.n] = mid
        return mid

    def _new_client(self) -> paho.Client:
        config = self._config
        client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=f"edge_ad-{self._device.site}-{self._device.name}-{config.name}",
        )
        client.will_set(f"{self._topic}/status", self._status("offline"), qos=1, retain=True)
        client.reconnect_delay_set(1, _LONGEST_RETRY_S)
        client.connect_timeout = _CHECK_S
        client.max_inflight_messages_set(100)
        if config.username is not None:
            password = None if config.password_file is None else secret(config.password_file)
            client.username_pw_set(config.username, password)
        if config.tls:
            self._set_tls(client)
        client.on_connect = self._on_connect
        client.on_connect_fail = self._on_connect_fail
        client.on_disconnect = self._on_disconnect
        client.on_publish = self._on_publish
        return client

    def _set_tls(self, client: paho.Client) -> None:
        config = self._config
        try:
            client.tls_set(config.ca_file, config.certificate_file, config.key_file)
        except (OSError, ValueError, ssl.SSLError) as exc:
            raise ConfigError(f"sink {config.name}: TLS cannot be set up: {exc}") from exc

    def _status(self, state: str) -> str:
        return json_text({"state": state, "time": utc_text()})

    def _told(self, error: str) -> str:
        return f"mqtt://{self._config.host}:{self._config.port}: {error}"

    def _on_connect(
        self, client: paho.Client, userdata: Any, flags: Any, code: ReasonCode, more: Any
    ) -> None:
        with self._changed:
            self._is_connected = not code.is_failure
            self._error = "" if self._is_connected else f"the broker refuses: {code}"
            self._changed.notify_all()
        if self._is_connected:
            client.publish(f"{self._topic}/status", self._status("online"), qos=1, retain=True)

    def _on_connect_fail(self, client: paho.Client, userdata: Any) -> None:
        why = self._why()  # the client does not tell
        with self._changed:
            self._error = why

    def _why(self) -> str:
        """Why nobody can be reached, by trying once more without the client."""
        config = self._config
        try:
            with socket.create_connection((config.host, config.port), _CHECK_S) as plain:
                if config.tls:
                    context = ssl.create_default_context(cafile=config.ca_file)
                    with context.wrap_socket(plain, server_hostname=config.host):
                        pass
        except (OSError, ValueError) as exc:
            return str(exc)
        return "the broker does not speak MQTT, or hung up"

    def _on_disconnect(
        self,
        client: paho.Client,
        userdata: Any,
        flags: Any,
        code: ReasonCode,
        more: Properties | None,
    ) -> None:
        with self._changed:
            self._is_connected = False
            if not self._error:
                self._error = f"the connection is lost: {code}"
            self._changed.notify_all()

    def _on_publish(
        self, client: paho.Client, userdata: Any, mid: int, code: ReasonCode, more: Any
    ) -> None:
        with self._changed:
            self._arrived.add(mid)
            self._changed.notify_all()
