"""Debian's mosquitto on a port of its own, and a client that listens to it."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion


def mosquitto() -> str | None:
    """The path of the broker, or None if it is not installed."""
    return shutil.which("mosquitto", path="/usr/sbin:/usr/bin")


class Broker:
    """Debian's mosquitto on a port of its own, which can be gone and come back."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            self.port = found.getsockname()[1]
        self._config = folder / "mosquitto.conf"
        self._config.write_text(
            f"listener {self.port} 127.0.0.1\nallow_anonymous true\n"
            f"user root\npersistence true\npersistence_location {folder}/\n"
        )
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self, more: str = "") -> None:
        """Start, with what was written down before, and wait until it answers.

        Args:
            more: lines for its settings.
        """
        settings = self._config.read_text(encoding="utf-8")
        self._config.write_text(settings + more, encoding="utf-8")
        command = [mosquitto() or "mosquitto", "-c", str(self._config)]
        self._process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        until = time.monotonic() + 30
        while time.monotonic() < until:
            with socket.socket() as found:
                if found.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.02)
        raise AssertionError("mosquitto does not start")

    def stop(self) -> None:
        """Stop."""
        if self._process is not None:
            self._process.terminate()  # it writes down who has subscribed, and what waits
            self._process.wait()
            self._process = None


class Listener:
    """A client that keeps what it hears, over the broker's restarts too."""

    def __init__(self, port: int, topic: str = "edge_ad/#") -> None:
        self.heard: list[tuple[str, bytes, bool]] = []
        self.ready = threading.Event()
        self._client = paho.Client(
            CallbackAPIVersion.VERSION2, client_id="listener", clean_session=False
        )
        self._client.on_message = self._on_message
        self._client.on_connect = lambda client, *more: client.subscribe(topic, qos=1)
        self._client.on_subscribe = lambda *more: self.ready.set()
        self._client.reconnect_delay_set(1, 1)
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        assert self.ready.wait(10)

    def _on_message(self, client: paho.Client, data: Any, message: paho.MQTTMessage) -> None:
        self.heard.append((message.topic, bytes(message.payload), message.retain))

    def records(self, end: str = "/result") -> list[dict[str, Any]]:
        """What came on topics with this end."""
        return [json.loads(body) for topic, body, _ in self.heard if topic.endswith(end)]

    def close(self) -> None:
        """Stop listening."""
        self._client.disconnect()
        self._client.loop_stop()
