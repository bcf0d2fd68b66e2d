"""Messages that wait for their sinks. They are written in the transaction of what they tell of."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from edge_ad_line.store.database import Database
from edge_ad_runtime.escaping import json_text

_CHECK_EVERY = 100  # messages


@dataclass(frozen=True, kw_only=True)
class Message:
    """One message for one sink.

    Attributes:
        n: its number. A sink's messages leave in the order of these. None if it is not stored.
        kind: ``result``, ``alarm`` or ``health``.
        record: what is told.
    """

    n: int | None
    kind: str
    record: dict[str, Any]


class Outbox:
    """The messages of all sinks. A sink reads its own, and says which have arrived."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._limits: dict[str, int] = {}
        self._since_check: dict[str, int] = {}
        self._added = threading.Condition()
        self.dropped: dict[str, int] = {}

    def set_sinks(self, limits: dict[str, int]) -> None:
        """Say which sinks there are, and how many messages may wait for each.

        Messages for sinks that are no longer there are removed.
        """
        self._limits = dict(limits)
        self._since_check = dict.fromkeys(limits, _CHECK_EVERY)
        self.dropped = {name: self.dropped.get(name, 0) for name in limits}
        marks = ", ".join("?" * len(limits))
        with self._database.writing() as transaction:
            transaction.execute(f"DELETE FROM outbox WHERE sink NOT IN ({marks})", tuple(limits))

    def add(
        self,
        transaction: sqlite3.Connection,
        kind: str,
        *,
        result: int | None = None,
        record: dict[str, Any] | None = None,
        is_good: bool = False,
        now_s: float,
    ) -> None:
        """Queue a message for every sink: a result by its number, or any other record."""
        body = None if record is None else json_text(record)
        for sink in self._limits:
            transaction.execute(
                "INSERT INTO outbox (sink, kind, result, body, is_good, queued_s)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                (sink, kind, result, body, int(is_good), now_s),
            )
            self._since_check[sink] += 1
            if self._since_check[sink] >= _CHECK_EVERY:
                self._since_check[sink] = 0
                self._drop_what_is_too_much(transaction, sink)

    def waiting(self, sink: str, limit: int) -> list[Message]:
        """The sink's next messages, in order."""
        rows = self._database.rows(
            "SELECT o.n, o.kind, coalesce(o.body, r.doc) AS text FROM outbox o"
            " LEFT JOIN result r ON r.n = o.result"
            " WHERE o.sink = ? AND o.refused IS NULL ORDER BY o.n LIMIT ?",
            (sink, limit),
        )
        return [
            Message(n=r["n"], kind=r["kind"], record=json.loads(r["text"] or "{}")) for r in rows
        ]

    def delivered(self, numbers: Sequence[int]) -> None:
        """Remove messages that have arrived. After a power cut some may be sent once more."""
        with self._database.writing(durable=False) as transaction:
            _each(transaction, "DELETE FROM outbox WHERE n = ?", numbers)

    def refuse(self, number: int, why: str) -> None:
        """Let a message wait no more that will never be taken. It is kept to be seen."""
        with self._database.writing() as transaction:
            transaction.execute("UPDATE outbox SET refused = ? WHERE n = ?", (why, number))

    def wake(self) -> None:
        """Tell those who wait that there is something."""
        with self._added:
            self._added.notify_all()

    def wait(self, timeout_s: float) -> None:
        """Wait until something was added, or for so long."""
        with self._added:
            self._added.wait(timeout_s)

    def counts(self) -> dict[str, dict[str, Any]]:
        """For each sink ``messages``, ``refused``, ``dropped`` and ``oldest_queued_s``."""
        rows = self._database.rows(
            "SELECT sink, sum(refused IS NULL) AS waiting, sum(refused IS NOT NULL) AS refused,"
            " min(CASE WHEN refused IS NULL THEN queued_s END) AS oldest FROM outbox GROUP BY sink"
        )
        found = {row["sink"]: row for row in rows}
        return {
            sink: {
                "messages": found[sink]["waiting"] if sink in found else 0,
                "refused": found[sink]["refused"] if sink in found else 0,
                "dropped": self.dropped.get(sink, 0),
                "oldest_queued_s": found[sink]["oldest"] if sink in found else None,
            }
            for sink in self._limits
        }

    def _drop_what_is_too_much(self, transaction: sqlite3.Connection, sink: str) -> None:
        """Drop the oldest good verdicts, and if that does not suffice the oldest of all."""
        (waiting,) = transaction.execute(
            "SELECT count(*) FROM outbox WHERE sink = ? AND refused IS NULL", (sink,)
        ).fetchone()
        for condition in ("is_good AND refused IS NULL", "refused IS NULL"):
            if (over := waiting - self._limits[sink]) > 0:
                dropped = transaction.execute(
                    "DELETE FROM outbox WHERE n IN (SELECT n FROM outbox WHERE sink = ? AND"
                    f" {condition} ORDER BY n LIMIT ?)",
                    (sink, over),
                ).rowcount
                waiting -= dropped
                self.dropped[sink] += dropped


def _each(transaction: sqlite3.Connection, sql: str, numbers: Iterable[int]) -> None:
    transaction.executemany(sql, [(number,) for number in numbers])
