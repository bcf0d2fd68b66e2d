"""Blocking work of requests, in a bounded number of threads."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import anyio
from anyio import CapacityLimiter
from starlette.exceptions import HTTPException

T = TypeVar("T")


class Work:
    """So many threads for one kind of work, and so many requests that may wait for one.

    A request holds its body while it waits, so that those above the limit are refused at once.
    """

    def __init__(self, *, threads: int, most: int) -> None:
        self._threads, self._most = threads, most
        self._limiter: CapacityLimiter | None = None
        self._requests = 0

    async def __aenter__(self) -> Work:
        """Take a place before the body is read.

        Raises:
            HTTPException: 503, all are taken.
        """
        if self._requests >= self._most:
            raise HTTPException(503, "too many requests at once; try again", {"Retry-After": "1"})
        self._requests += 1
        return self

    async def __aexit__(self, *exception: object) -> None:
        self._requests -= 1

    async def run(self, function: Callable[[], T]) -> T:
        """Run it in one of the threads, and wait."""
        if self._limiter is None:  # it belongs to a running loop
            self._limiter = CapacityLimiter(self._threads)
        return await anyio.to_thread.run_sync(function, limiter=self._limiter)
