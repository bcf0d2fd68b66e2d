"""Server-sent events: what happens on the line, as it happens."""

from __future__ import annotations

from collections.abc import AsyncIterator

import anyio
from anyio import CapacityLimiter
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from edge_ad_line.events import Event, Events, Subscription
from edge_ad_line.web.access import User
from edge_ad_line.web.requests import query_of
from edge_ad_runtime.escaping import json_text

MOST_LISTENERS = 32

_WAIT_S = 0.5
_QUIET_WAITS = 20  # then a comment says that the connection is alive
_ENDED: Event = (-1, "ended", {})


class EventStream:
    """The endpoint. Each listener has a thread that waits, so that their number is bounded."""

    def __init__(self, events: Events) -> None:
        self._events = events
        self._limiter: CapacityLimiter | None = None
        self._listeners = 0

    async def __call__(self, request: Request, user: User) -> Response:
        """All events from now on, or from the one after ``Last-Event-ID`` on."""
        query_of(request, ())
        last = request.headers.get("last-event-id")
        if last is not None and not (last.isascii() and last.isdigit() and len(last) < 19):
            raise HTTPException(400, f"Last-Event-ID: expected a number, found {last!r}")
        if self._listeners >= MOST_LISTENERS:
            raise HTTPException(503, f"{MOST_LISTENERS} listen already", {"Retry-After": "5"})
        lines = self._lines(None if last is None else int(last))
        return StreamingResponse(lines, media_type="text/event-stream")

    async def _lines(self, last_event_id: int | None) -> AsyncIterator[str]:
        if self._limiter is None:  # it belongs to a running loop
            self._limiter = CapacityLimiter(MOST_LISTENERS)
        subscription = self._events.subscribe(last_event_id)
        self._listeners += 1
        try:
            yield "retry: 1000\n\n"  # milliseconds before a browser comes back
            quiet = 0
            while (event := await self._next(subscription)) != _ENDED:
                if event is not None:
                    quiet = 0
                    yield text_of(event)
                    continue
                quiet += 1
                if quiet % _QUIET_WAITS == 0:
                    yield ": alive\n\n"
        finally:
            self._listeners -= 1
            subscription.close()

    async def _next(self, subscription: Subscription) -> Event | None:
        return await anyio.to_thread.run_sync(
            _next, subscription, limiter=self._limiter, abandon_on_cancel=True
        )


def text_of(event: Event) -> str:
    """One event as it is sent."""
    number, kind, record = event
    return f"id: {number}\nevent: {kind}\ndata: {json_text(record)}\n\n"


def _next(subscription: Subscription) -> Event | None:
    try:
        return subscription.next(_WAIT_S)
    except StopIteration:  # which no coroutine may raise
        return _ENDED
