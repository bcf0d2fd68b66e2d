"""`WebServer`: uvicorn in a thread of its own, beside the line's."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

import uvicorn

from edge_ad_line.config import WebConfig
from edge_ad_line.line import Line
from edge_ad_line.web.application import create_app
from edge_ad_runtime.errors import ConfigError

_BACKLOG = 128
_MOST_CONNECTIONS = 200
_IDLE_S = 30
_STOP_S = 5


class WebServer:
    """Answers for a line, from `start` to `stop`.

    Attributes:
        url: where it answers.
    """

    def __init__(self, line: Line) -> None:
        """Make the application, and take the address.

        Raises:
            ConfigError: see `create_app`; or the address cannot be had, or the certificate.
        """
        application = create_app(line)
        web = line.config.web
        assert web is not None, "create_app needs it"
        _check_certificate(web)
        self._socket = _listening(web)
        host, port = self._socket.getsockname()[:2]
        shown = f"[{host}]" if ":" in host else host
        self.url = f"http{'s' if web.certificate_file else ''}://{shown}:{port}"
        self._server = uvicorn.Server(
            uvicorn.Config(
                application,
                log_level="warning",
                access_log=False,
                lifespan="off",
                server_header=False,
                proxy_headers=False,
                limit_concurrency=_MOST_CONNECTIONS,
                timeout_keep_alive=_IDLE_S,
                timeout_graceful_shutdown=_STOP_S,
                ssl_certfile=web.certificate_file,
                ssl_keyfile=web.key_file,
            )
        )
        self._thread = threading.Thread(target=self._run, name="web", daemon=True)

    def start(self) -> None:
        """Answer from now on. What comes before the loop runs waits in the socket."""
        self._thread.start()

    def stop(self) -> None:
        """Answer what is in hand, for some seconds, and end."""
        self._server.should_exit = True
        if self._thread.ident is not None:
            self._thread.join(2 * _STOP_S)
        self._socket.close()

    def _run(self) -> None:
        self._server.run(sockets=[self._socket])


def _listening(web: WebConfig) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in web.host else socket.AF_INET
        return socket.create_server((web.host, web.port), family=family, backlog=_BACKLOG)
    except OSError as exc:
        raise ConfigError(f"[web] cannot listen on {web.listen}: {exc.strerror or exc}") from exc
    except OverflowError as exc:
        raise ConfigError(f"[web] listen: {web.port} is no port") from exc


def _check_certificate(web: WebConfig) -> None:
    if (web.certificate_file is None) != (web.key_file is None):
        raise ConfigError("[web] certificate_file and key_file are given together, or not at all")
    for path in (web.certificate_file, web.key_file):
        if path is not None and not Path(path).is_file():
            raise ConfigError(f"[web] {path}: there is no such file")
