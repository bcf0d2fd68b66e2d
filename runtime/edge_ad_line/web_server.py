"""`WebServer`: the pages and the API in a thread of their own."""

from __future__ import annotations

import socket
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import uvicorn

from edge_ad_line.config import WebConfig
from edge_ad_line.web import create_app
from edge_ad_runtime.errors import ConfigError

if TYPE_CHECKING:
    from edge_ad_line.line import Line

_STOP_S = 5
_IDLE_S = 30
_MOST_CONNECTIONS = 200


class WebServer:
    """Serves a line's pages.

    Args:
        line: the line.
        config: where to listen.

    Attributes:
        address: where it listens.
    """

    def __init__(self, line: Line, config: WebConfig) -> None:
        """Take the port.

        Raises:
            ConfigError: it is in use, or must not be listened on without tokens, or the
                certificate cannot be used.
        """
        settings = uvicorn.Config(
            create_app(line),
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            lifespan="off",
            limit_concurrency=_MOST_CONNECTIONS,
            ssl_certfile=config.certificate_file,
            ssl_keyfile=config.key_file,
            timeout_keep_alive=_IDLE_S,
            timeout_graceful_shutdown=_STOP_S,
        )
        _load(settings, config)
        self._socket = listening(config)
        scheme = "http" if config.certificate_file is None else "https"
        self.address = f"{scheme}://{config.host}:{self._socket.getsockname()[1]}"
        self._server = uvicorn.Server(settings)
        self._thread = threading.Thread(target=self._run, name="web", daemon=True)

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def stop(self) -> None:
        """Answer what was asked, and end."""
        self._server.should_exit = True
        if self._thread.is_alive():
            self._thread.join(2 * _STOP_S)
        self._socket.close()

    def _run(self) -> None:
        self._server.run(sockets=[self._socket])


def _load(settings: uvicorn.Config, config: WebConfig) -> None:
    """Read the certificate here, where somebody is told that it cannot be used."""
    if (config.certificate_file is None) != (config.key_file is None):
        raise ConfigError("[web] certificate_file and key_file come together, or not at all")
    for path in filter(None, (config.certificate_file, config.key_file)):
        if not Path(path).is_file():
            raise ConfigError(f"[web] {path}: there is no such file")
    try:
        settings.load()
    except OSError as exc:  # ssl.SSLError is one
        raise ConfigError(f"[web] {config.certificate_file}: cannot be used: {exc}") from exc


def listening(config: WebConfig) -> socket.socket:
    """A socket that listens where the settings say.

    Raises:
        ConfigError: it cannot.
    """
    try:
        (family, kind, protocol, _, address), *_ = socket.getaddrinfo(
            config.host, config.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        found = socket.socket(family, kind, protocol)
        try:
            found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            found.bind(address)
            found.listen(128)
        except OSError:
            found.close()
            raise
    except OSError as exc:
        raise ConfigError(f"[web] listen = {config.listen!r}: {exc.strerror or exc}") from exc
    return found
