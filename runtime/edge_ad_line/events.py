"""What happens on the line, told to whoever listens. A slow listener is dropped, never waited for.

Ids rise over restarts too, as they begin at the microseconds since 1970 at which the line was
opened. A listener that comes back names the last id that it saw, and gets what it missed. If that
is no longer known, its first event is a ``gap``.
"""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Literal

Kind = Literal["result", "status", "review", "artifact", "alarm", "gap"]
Event = tuple[int, str, dict[str, Any]]

_REMEMBERED = 1000
_MOST_WAITING = 200


class Events:
    """The events of one line. Any thread may publish, and any may listen."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last_id = time.time_ns() // 1000
        self._recent: deque[Event] = deque(maxlen=_REMEMBERED)
        self._listeners: set[Subscription] = set()
        self._is_closed = False

    def publish(self, kind: Kind, record: dict[str, Any]) -> None:
        """Tell all listeners, at once."""
        with self._lock:
            self._last_id += 1
            event = (self._last_id, kind, record)
            self._recent.append(event)
            for listener in self._listeners:
                listener.offer(event)

    def subscribe(self, last_event_id: int | None = None) -> Subscription:
        """Listen from now on, or from the event after ``last_event_id`` on.

        An event of the kind ``gap`` comes first if not everything since then is known any more.
        """
        with self._lock:
            missed: list[Event] = []
            if last_event_id is not None:
                missed = [event for event in self._recent if event[0] > last_event_id]
                first = self._recent[0][0] if self._recent else self._last_id + 1
                if not first - 1 <= last_event_id <= self._last_id:
                    missed = [_gap(self._last_id), *self._recent]
            listener = Subscription(self, missed)
            if self._is_closed:
                listener.end()
            else:
                self._listeners.add(listener)
            return listener

    def close(self) -> None:
        """End all subscriptions."""
        with self._lock:
            self._is_closed = True
            for listener in self._listeners:
                listener.end()
            self._listeners.clear()

    def forget(self, listener: Subscription) -> None:
        """Tell a listener nothing more."""
        with self._lock:
            self._listeners.discard(listener)


class Subscription:
    """Iterates over events: ``(id, kind, record)``. It waits for the next, until it is closed.

    A listener that leaves too many unread loses them all, and its next event is a ``gap``.
    """

    def __init__(self, events: Events, missed: list[Event]) -> None:
        self._events = events
        # what was missed may be more than may wait
        self._waiting: queue.Queue[Event | None] = queue.Queue()
        for event in missed:
            self._waiting.put(event)

    def __iter__(self) -> Iterator[Event]:
        while (event := self._waiting.get()) is not None:
            yield event

    def next(self, timeout_s: float) -> Event | None:
        """The next event, or None if there was none in this time.

        Raises:
            StopIteration: the subscription has ended.
        """
        try:
            event = self._waiting.get(timeout=timeout_s)
        except queue.Empty:
            return None
        if event is None:
            self._waiting.put(None)
            raise StopIteration
        return event

    def offer(self, event: Event) -> None:
        """Add an event. If too many wait, they make room for one that says so."""
        if self._waiting.qsize() >= max(_MOST_WAITING, _REMEMBERED + 1):
            while not self._waiting.empty():
                self._waiting.get_nowait()
            self._waiting.put(_gap(event[0] - 1))
        self._waiting.put(event)

    def end(self) -> None:
        """Let the iteration end after what waits already."""
        self._waiting.put(None)

    def close(self) -> None:
        """Stop listening."""
        self._events.forget(self)
        self.end()

    def __enter__(self) -> Subscription:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def _gap(event_id: int) -> Event:
    return event_id, "gap", {"message": "events were missed; ask for the results again"}
