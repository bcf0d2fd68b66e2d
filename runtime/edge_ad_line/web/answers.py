"""What is answered: JSON, errors in one form, and the headers of every answer."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from edge_ad_runtime.errors import ArtifactError, ConfigError, EdgeADError, ImageError
from edge_ad_runtime.escaping import json_text

# Nothing comes from elsewhere, nothing is inline, nobody frames the page.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_log = logging.getLogger(__name__)


def json_answer(
    value: Any, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """JSON as everywhere in this runtime: numbers to their last digit, text as it is."""
    return Response(json_text(value), status, headers, media_type="application/json")


def status_of(record: Mapping[str, Any]) -> int:
    """The HTTP status of a result: 200 is a verdict, and no error is a 200.

    Bytes that are no image are the sender's fault, a failed network is ours, and what is left is
    for later.
    """
    if record["verdict"] != "error":
        return 200
    return {"unreadable": 422, "network": 500}.get(record["reason"], 503)


async def on_http_error(request: Request, error: Exception) -> Response:
    """A refusal: its status, and ``{"error": why}``."""
    assert isinstance(error, HTTPException)
    return json_answer({"error": error.detail}, error.status_code, error.headers)


async def on_refusal(request: Request, error: Exception) -> Response:
    """One of our own errors. What was asked cannot be done."""
    status = 500
    if isinstance(error, ArtifactError | ImageError):
        status = 422
    elif isinstance(error, ConfigError):
        status = 400
    return json_answer({"error": str(error)}, status)


async def on_bug(request: Request, error: Exception) -> Response:
    """Anything else is our bug. Its text stays here."""
    _log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return json_answer({"error": "this is an error of the server; its log says more"}, 500)


ON_ERROR = {HTTPException: on_http_error, EdgeADError: on_refusal, Exception: on_bug}


class WithHeaders:
    """Adds the headers of every answer. What has no Cache-Control is not stored anywhere."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as the application inside does, with the headers."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(_HEADERS)
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        await self._app(scope, receive, send_with_headers)
