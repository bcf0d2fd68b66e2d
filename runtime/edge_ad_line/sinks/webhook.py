"""A sink that posts each message to an HTTP server until it says 2xx."""

from __future__ import annotations

import http.client
import urllib.error
import urllib.request
from collections.abc import Sequence
from email.message import Message as Headers
from pathlib import Path
from typing import IO, Any

from edge_ad_line.config import DeviceConfig, WebhookSink
from edge_ad_line.sinks.cloud_event import MEDIA_TYPE, event_text
from edge_ad_line.sinks.sink import RefusedError, SinkError
from edge_ad_line.store.outbox import Message
from edge_ad_runtime.errors import ConfigError

# what a server says of a message, and not of itself or of the address: it will say it again
_NEVER = {400, 413, 415, 422}


class Webhook:
    """See `WebhookSink`."""

    def __init__(self, config: WebhookSink, device: DeviceConfig) -> None:
        self._config, self._device = config, device
        self._opener = urllib.request.build_opener(_NoRedirects)

    def open(self) -> None:
        """Nothing is held between messages."""

    def send(self, messages: Sequence[Message]) -> None:
        """See `Sink`."""
        for arrived, message in enumerate(messages):
            self._post(event_text(message, self._device).encode(), arrived)

    def health(self, record: dict[str, Any]) -> None:
        """A webhook gets verdicts and alarms."""

    def check(self) -> None:
        """Read the token, and see that somebody listens. Nothing is posted."""
        self._headers()
        request = urllib.request.Request(self._config.url, method="OPTIONS")
        try:
            with self._opener.open(request, timeout=self._config.timeout_ms / 1000):
                pass
        except urllib.error.HTTPError:
            pass  # it answers
        except (OSError, http.client.HTTPException) as exc:
            raise ConfigError(f"{self._config.url}: {_why(exc)}") from exc

    def close(self) -> None:
        """Nothing is open."""

    def _post(self, body: bytes, arrived: int) -> None:
        url = self._config.url
        try:
            request = urllib.request.Request(url, body, self._headers(), method="POST")
            with self._opener.open(request, timeout=self._config.timeout_ms / 1000) as answer:
                answer.read(1 << 16)
        except urllib.error.HTTPError as exc:
            with exc:
                kind = RefusedError if exc.code in _NEVER else SinkError
                raise kind(f"{url}: says {exc.code} {exc.reason}", arrived=arrived) from exc
        except (OSError, http.client.HTTPException, ConfigError) as exc:
            raise SinkError(f"{url}: {_why(exc)}", arrived=arrived) from exc

    def _headers(self) -> dict[str, str]:
        headers = {"Content-Type": MEDIA_TYPE}
        if self._config.token_file is not None:
            headers["Authorization"] = f"Bearer {secret(self._config.token_file)}"
        return headers


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A POST that is redirected would become a GET, and its message would be lost."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: Headers,
        newurl: str,
    ) -> None:
        """Follow nothing, so that the redirection is the answer."""


def secret(file: str) -> str:
    """A password or token from a file that holds nothing else.

    Raises:
        ConfigError: it cannot be read, or is empty.
    """
    try:
        text = Path(file).read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as exc:
        raise ConfigError(f"{file}: cannot be read: {exc}") from exc
    if not text or "\n" in text:
        raise ConfigError(f"{file}: expected one line with the secret alone")
    return text


def _why(error: BaseException) -> str:
    return str(getattr(error, "reason", None) or error or type(error).__name__)
