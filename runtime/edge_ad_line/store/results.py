"""Results: each is written once, with a message for every sink, and read in the order of time."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

from edge_ad_line.result import Result
from edge_ad_line.store.database import Database
from edge_ad_line.store.outbox import Outbox
from edge_ad_line.store.retention import nearness
from edge_ad_runtime.escaping import json_text

_RECENT_IMAGES = 2000
_PRUNED_AT_ONCE = 1000


class Results:
    """The results of all parts."""

    def __init__(self, database: Database, outbox: Outbox) -> None:
        self._database, self._outbox = database, outbox

    def take_in_hand(self, part: str, record: Mapping[str, Any]) -> None:
        """Write down that an image is being judged, so that it is not lost if the process dies.

        It is not waited for, as that would double the cost of an image. So a power cut may lose
        this note, as a full disk does, but no result.
        """
        with suppress(sqlite3.Error), self._database.writing(durable=False) as transaction:
            transaction.execute(
                "INSERT OR REPLACE INTO in_hand VALUES (?, ?)", (part, json_text(dict(record)))
            )

    def in_hand(self) -> list[dict[str, Any]]:
        """The images that were being judged when the device stopped."""
        return [json.loads(row["doc"]) for row in self._database.rows("SELECT doc FROM in_hand")]

    def add(self, result: Result, *, source: str | None, key: str | None, now_s: float) -> Result:
        """Write a result and its messages in one transaction, and give it with its number.

        Raises:
            sqlite3.Error: it could not be written, or there is one with this key or source.
        """
        with self._database.writing() as transaction:
            (seq,) = transaction.execute(
                "INSERT INTO part VALUES (?, 1) ON CONFLICT (name) DO UPDATE SET seq = seq + 1"
                " RETURNING seq",
                (result.part,),
            ).fetchone()
            result = replace(result, seq=seq, stored=True)
            row = (
                result.id, result.part, seq, result.verdict, result.camera, source, key,
                _nearness(result), json_text(result.to_record()),
            )  # fmt: skip
            number = transaction.execute(
                "INSERT INTO result (id, part, seq, verdict, camera, source, key, nearness, doc)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                row,
            ).lastrowid
            transaction.execute("DELETE FROM in_hand WHERE part = ?", (result.part,))
            self._outbox.add(
                transaction,
                "result",
                result=number,
                is_good=result.verdict == "good",
                now_s=now_s,
            )
        self._outbox.wake()
        return result

    def results(
        self,
        part: str | None = None,
        verdict: str | None = None,
        after: str | None = None,
        limit: int = 50,
        before: str | None = None,
    ) -> list[dict[str, Any]]:
        """Records of results, newest first, or with ``after`` oldest first.

        Args:
            part: of this part alone.
            verdict: with this verdict alone.
            after: the id of a result: those that came after it, so that a reader misses none.
            limit: so many at most.
            before: the id of a result: those that came before it, to page back.

        Returns:
            The records, each with ``review`` beside: the last label, user and reason, or None.
        """
        conditions, values = [], []
        for name, value in (("part", part), ("verdict", verdict)):
            if value is not None:
                conditions.append(f"r.{name} = ?")
                values.append(value)
        for sign, given in ((">", after), ("<", before)):
            if given is not None:
                conditions.append(f"r.n {sign} coalesce((SELECT n FROM result WHERE id = ?), 0)")
                values.append(given)
        where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
        order = "ASC" if after is not None else "DESC"
        return self._records(f"{where} ORDER BY r.n {order} LIMIT ?", (*values, limit))

    def result(self, result_id: str) -> dict[str, Any] | None:
        """The record of one result, with ``review`` beside, or None if there is no such result."""
        found = self._records("WHERE r.id = ?", (result_id,))
        return found[0] if found else None

    def with_key(self, part: str, key: str) -> dict[str, Any] | None:
        """The record of the result that this idempotency key has had, or None."""
        found = self._records("WHERE r.part = ? AND r.key = ?", (part, key))
        return found[0] if found else None

    def has_source(self, camera: str, source: str) -> bool:
        """Whether this image of the camera has a result already."""
        sql = "SELECT 1 FROM result WHERE camera = ? AND source = ?"
        return bool(self._database.rows(sql, (camera, source)))

    def review_queue(self, part: str | None = None, limit: int = 50) -> list[dict[str, Any]]:
        """Results whose image is kept and that nobody has reviewed, nearest to the threshold first.

        The newest 2,000 images are looked at.
        """
        conditions = (
            "JOIN (SELECT result FROM image ORDER BY result DESC LIMIT ?) k ON k.result = r.n"
            " WHERE r.nearness IS NOT NULL AND v.n IS NULL AND (? IS NULL OR r.part = ?)"
            " ORDER BY r.nearness, r.n DESC LIMIT ?"
        )
        return self._records(conditions, (_RECENT_IMAGES, part, part, limit))

    def prune(self, most: int) -> None:
        """Remove the oldest results above the limit that have no image and wait for no sink."""
        with suppress(sqlite3.Error), self._database.writing() as transaction:
            transaction.execute(
                "DELETE FROM result WHERE n IN (SELECT n FROM result r WHERE n <="
                " (SELECT max(n) FROM result) - ?"
                " AND NOT EXISTS (SELECT 1 FROM image WHERE result = r.n)"
                " AND NOT EXISTS (SELECT 1 FROM review WHERE result = r.n)"
                " AND NOT EXISTS (SELECT 1 FROM outbox WHERE result = r.n) ORDER BY n LIMIT ?)",
                (most, _PRUNED_AT_ONCE),
            )

    def _records(self, conditions: str, values: tuple[Any, ...]) -> list[dict[str, Any]]:
        rows = self._database.rows(
            "SELECT r.doc, i.result AS image, v.label, v.user, v.reason, v.t FROM result r"
            " LEFT JOIN image i ON i.result = r.n"
            " LEFT JOIN review v ON v.n = (SELECT max(n) FROM review WHERE result = r.n) "
            + conditions,
            values,
        )
        return [_record(row) for row in rows]


def _record(row: sqlite3.Row) -> dict[str, Any]:
    record: dict[str, Any] = json.loads(row["doc"])
    if row["image"] is None:
        record["image"] = None
    reviewed = {name: row[name] for name in ("label", "user", "reason", "t")}
    record["review"] = None if row["label"] is None else reviewed
    return record


def _nearness(result: Result) -> float | None:
    if result.score is None or result.threshold is None:
        return None
    return nearness(result.score, result.threshold)
