"""`Dispatcher`: a thread that gives one sink its messages, in order, until each has arrived."""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from edge_ad_line.backoff import backoff_s
from edge_ad_line.sinks.sink import RefusedError, Sink, SinkError
from edge_ad_line.store.outbox import Message, Outbox

_LOG = logging.getLogger(__name__)
_BATCH = 50
_LOOK_S = 0.5
_MOST_UNSTORED = 1000
_HEALTH_S = 60.0


class Dispatcher:
    """Sends what waits in the outbox for one sink. The scoring path never waits for it.

    Args:
        name: the sink's name.
        sink: the sink. Only this thread uses it.
        outbox: where its messages are.
        most_per_second: how fast what has waited is sent.
        health: the record that tells how the device is.
        changed: is called with the name, whether the sink is up, and why not, when that changes.
    """

    def __init__(
        self,
        name: str,
        sink: Sink,
        outbox: Outbox,
        *,
        most_per_second: float,
        health: Callable[[], dict[str, Any]],
        changed: Callable[[str, bool, str], None],
    ) -> None:
        self.name, self._sink, self._outbox = name, sink, outbox
        self._pause_s = 1 / most_per_second
        self._health, self._changed = health, changed
        self._unstored: deque[Message] = deque(maxlen=_MOST_UNSTORED)
        self._arrived: set[int] = set()  # and not yet removed, as the disk is full
        self._stopped, self._draining = threading.Event(), threading.Event()
        self.is_up, self.error = True, ""
        self._told_health_s = -_HEALTH_S
        self._thread = threading.Thread(target=self._run, name=f"sink-{name}", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def send_unstored(self, record: dict[str, Any]) -> None:
        """Send a result that the disk has not taken. If too many wait, the oldest is lost."""
        self._unstored.append(Message(n=None, kind="result", record=record))

    def drain(self, timeout_s: float) -> None:
        """Send what waits for at most so long, and end. The rest is sent after the next start."""
        self._draining.set()
        self._outbox.wake()
        if self._thread.is_alive():
            self._thread.join(timeout_s)
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join(5)

    def _run(self) -> None:
        try:
            self._sink.open()
            self._send_all()
            self._sink.close()
        except Exception:  # a bug here must be seen, and must not be mistaken for a quiet line
            _LOG.exception("sink %s has ended", self.name)
            self._set_up(False, "it has ended; see the log")

    def _send_all(self) -> None:
        """Send what comes, until the end."""
        failures = 0
        while not self._stopped.is_set():
            messages = self._next()
            if not messages and self._draining.is_set():
                break
            if not messages:
                self._tell_health()
                self._outbox.wait(_LOOK_S)
                continue
            failures = 0 if self._send(messages) else failures + 1
            if failures and self._draining.is_set():
                break
            pause = backoff_s(failures) or self._pause_s * len(messages) * (len(messages) == _BATCH)
            self._stopped.wait(pause)

    def _next(self) -> list[Message]:
        unstored = [self._unstored.popleft() for _ in range(min(_BATCH, len(self._unstored)))]
        if unstored:
            return unstored
        self._remove(())
        found: list[Message] = []
        with suppress(sqlite3.Error):
            found = self._outbox.waiting(self.name, _BATCH + len(self._arrived))
        return [message for message in found if message.n not in self._arrived][:_BATCH]

    def _send(self, messages: Sequence[Message]) -> bool:
        """Send messages, and say whether the other side is well."""
        try:
            self._sink.send(messages)
        except RefusedError as exc:
            self._remove(messages[: exc.arrived])
            self._refused(messages[exc.arrived], str(exc))
            self._unsent(messages[exc.arrived + 1 :])
            return True
        except SinkError as exc:
            self._remove(messages[: exc.arrived])
            self._unsent(messages[exc.arrived :])
            self._set_up(False, str(exc))
            return False
        except Exception as exc:  # of a library; the messages are still there
            self._unsent(messages)
            self._set_up(False, f"{type(exc).__name__}: {exc}")
            return False
        self._remove(messages)
        self._set_up(True, "")
        return True

    def _remove(self, messages: Sequence[Message]) -> None:
        """Forget what has arrived, now or, if the disk does not take it, later."""
        self._arrived |= {message.n for message in messages if message.n is not None}
        if self._arrived:
            with suppress(sqlite3.Error):
                self._outbox.delivered(sorted(self._arrived))
                self._arrived.clear()

    def _unsent(self, messages: Sequence[Message]) -> None:
        """Put back those that are nowhere else."""
        self._unstored.extendleft(m for m in reversed(messages) if m.n is None)

    def _refused(self, message: Message, why: str) -> None:
        self._changed(self.name, True, f"a message was refused for good: {why}")
        if message.n is not None:
            with suppress(sqlite3.Error):
                self._outbox.refuse(message.n, why)

    def _set_up(self, is_up: bool, error: str) -> None:
        was_up, self.is_up, self.error = self.is_up, is_up, error
        if was_up != is_up:
            self._changed(self.name, is_up, error)

    def _tell_health(self) -> None:
        if time.monotonic() - self._told_health_s >= _HEALTH_S:
            self._told_health_s = time.monotonic()
            self._sink.health(self._health())
