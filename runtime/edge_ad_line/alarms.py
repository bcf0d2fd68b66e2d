"""`Alarms`: what a person should know at once, to the log, to listeners and to sinks."""

from __future__ import annotations

import logging
import threading
import time
from typing import Any

from edge_ad_line.events import Events
from edge_ad_line.result import new_id, utc_text
from edge_ad_line.store import Store

_LOG = logging.getLogger(__name__)
_AGAIN_S = 60.0


class Alarms:
    """Raises alarms. Any thread may.

    Args:
        events: who listens.
        store: whose outbox takes them to the sinks.
    """

    def __init__(self, events: Events, store: Store) -> None:
        self._events, self._store = events, store
        self._lock = threading.Lock()
        self._last_s: dict[str, float] = {}

    def sound(self, what: str, message: str, **more: Any) -> None:
        """Tell everybody.

        Args:
            what: one word for its kind.
            message: what has happened, and what to do.
            more: other keys of its record, such as the part.
        """
        _LOG.error("%s", message)
        record = {"id": new_id(), "time": utc_text(), "what": what, "message": message, **more}
        self._events.publish("alarm", record)
        self._store.tell("alarm", record)

    def sound_at_times(self, what: str, message: str, **more: Any) -> None:
        """Tell everybody of what happens again and again, once a minute."""
        now = time.monotonic()
        with self._lock:
            if now - self._last_s.get(what, -_AGAIN_S) < _AGAIN_S:
                return
            self._last_s[what] = now
        self.sound(what, message, **more)
