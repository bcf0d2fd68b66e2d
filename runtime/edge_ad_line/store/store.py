"""`Store`: results and what belongs to them. A result is on the disk before anybody hears of it."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from edge_ad_line.config import StoreConfig
from edge_ad_line.result import Result, utc_text
from edge_ad_line.store import audit
from edge_ad_line.store.database import Database
from edge_ad_line.store.outbox import Message, Outbox
from edge_ad_line.store.reserve import Reserve, free_bytes
from edge_ad_line.store.retention import CLASSES, ImageClass, Kept, nearness, to_delete
from edge_ad_runtime.artifact.atomic import write_file
from edge_ad_runtime.errors import ConfigError
from edge_ad_runtime.escaping import json_text
from edge_ad_runtime.regular_file import read_regular

__all__ = ["Message", "Store"]

SUFFIXES = {"image/png": ".png", "image/jpeg": ".jpg", "image/bmp": ".bmp", "image/tiff": ".tif",
            "image/webp": ".webp"}  # fmt: skip
_MOST_IMAGE_BYTES = 1 << 31
_RECENT_IMAGES = 2000
_PRUNED_AT_ONCE = 1000


class Store:
    """The disk of one device. Any thread may use it.

    Attributes:
        folder: where everything is.
        outbox: the messages that wait for sinks.
        failures: how many results, and how many images, could not be stored.
        deleted: how many images of each class retention has deleted.
    """

    def __init__(self, folder: Path | str, config: StoreConfig) -> None:
        """Open the store, or make it.

        Raises:
            ConfigError: it cannot be opened or written.
        """
        self.folder, self._config = Path(folder), config
        try:
            for name in ("images", "artifacts", "parts"):
                (self.folder / name).mkdir(parents=True, exist_ok=True)
        except OSError as exc:
            raise ConfigError(f"{folder}: cannot be written: {exc.strerror}") from exc
        self._database = Database(self.folder / "line.sqlite")
        self.outbox = Outbox(self._database)
        self.reserve = Reserve(self.folder / "reserve", config.reserve_bytes)
        self.failures = {"result": 0, "image": 0}
        self.deleted: dict[str, int] = dict.fromkeys(CLASSES, 0)
        self._opened_s = time.monotonic() - self._operated_before()

    # -- writing results -----------------------------------------------------------------------

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

    def add(self, result: Result, *, source: str | None = None, key: str | None = None) -> Result:
        """Store a result, and a message of it for every sink, in one transaction.

        Args:
            result: the result. Its `seq` is given here.
            source: which image of the camera it is of, so that none is judged twice.
            key: the idempotency key of whoever asked.

        Returns:
            The result as it is stored. If the disk has failed, `stored` is False.
        """
        for attempt in range(2):
            try:
                return self._add(result, source, key)
            except sqlite3.IntegrityError:  # another one with this key was quicker
                before = None if key is None else self.with_key(result.part, key)
                if before is None:
                    raise
                return Result.of_record(before)
            except sqlite3.Error:
                if attempt == 0 and self.reserve.size_bytes and self.reserve.release():
                    continue
                self.failures["result"] += 1
                break
        return replace(result, seq=None, stored=False, image=None)

    def _add(self, result: Result, source: str | None, key: str | None) -> Result:
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
            self.outbox.add(
                transaction,
                "result",
                result=number,
                is_good=result.verdict == "good",
                now_s=self.operated_s,
            )
        self.outbox.wake()
        return result

    def tell(self, kind: str, record: dict[str, Any]) -> None:
        """Queue an alarm, or the device's health, for every sink. A full disk loses it."""
        with suppress(sqlite3.Error), self._database.writing() as transaction:
            self.outbox.add(transaction, kind, record=record, now_s=self.operated_s)
        self.outbox.wake()

    # -- reading results -----------------------------------------------------------------------

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

    def audit(self, after: int = 0, limit: int = 100) -> list[dict[str, Any]]:
        """Rows of the audit trail after row ``after``, in order."""
        sql = "SELECT * FROM audit WHERE n > ? ORDER BY n LIMIT ?"
        return [dict(row) for row in self._database.rows(sql, (after, limit))]

    def newest_audit(self, limit: int = 100) -> list[dict[str, Any]]:
        """The last rows of the audit trail, newest first."""
        sql = "SELECT * FROM audit ORDER BY n DESC LIMIT ?"
        return [dict(row) for row in self._database.rows(sql, (limit,))]

    def audit_head(self) -> str:
        """The hash of the last row of the audit trail. Whoever holds it can tell a forged trail."""
        rows = self._database.rows("SELECT hash FROM audit ORDER BY n DESC LIMIT 1")
        return str(rows[0]["hash"]) if rows else audit.FIRST

    def audit_is_whole(self) -> bool:
        """Whether every row of the audit trail is what was written."""
        return (
            audit.first_broken(map(dict, self._database.rows("SELECT * FROM audit ORDER BY n")))
            is None
        )

    def artifacts(self, part: str) -> list[dict[str, Any]]:
        """The artifacts of a part: sha256, state, t, user, verified_at, note; newest first.

        The state is ``live``, ``previous``, ``staged`` or ``refused``.
        """
        sql = "SELECT sha256, state, t, user, verified_at, note FROM artifact WHERE part = ?"
        return [dict(row) for row in self._database.rows(f"{sql} ORDER BY t DESC", (part,))]

    def _records(self, conditions: str, values: tuple[Any, ...]) -> list[dict[str, Any]]:
        rows = self._database.rows(
            "SELECT r.doc, i.result AS image, v.label, v.user, v.reason, v.t FROM result r"
            " LEFT JOIN image i ON i.result = r.n"
            " LEFT JOIN review v ON v.n = (SELECT max(n) FROM review WHERE result = r.n) "
            + conditions,
            values,
        )
        return [_record(row) for row in rows]

    # -- images --------------------------------------------------------------------------------

    def keep_image(self, result_id: str, content: bytes, media_type: str, kind: ImageClass) -> bool:
        """Write an image beside its result, and say whether it could be.

        It has its name only when all of it is on the disk, and its row only then. While the disk is
        nearly full no image is written, so that there is room for results.
        """
        folder = self.folder / "images" / time.strftime("%Y-%m-%d", time.gmtime())
        path = folder / f"{result_id}{SUFFIXES.get(media_type, '.bin')}"
        try:
            self._require_room(len(content))
            folder.mkdir(exist_ok=True)
            write_file(path, content)
            digest = hashlib.sha256(content).hexdigest()
            with self._database.writing() as transaction:
                transaction.execute(
                    "INSERT INTO image SELECT n, ?, ?, ?, ?, ?, ?, 0 FROM result WHERE id = ?",
                    (kind, str(path.relative_to(self.folder)), media_type, len(content), digest,
                     self.operated_s, result_id),
                )  # fmt: skip
        except (OSError, sqlite3.Error):
            self.failures["image"] += 1
            with suppress(OSError):
                path.unlink()
            return False
        return True

    def image(self, result_id: str) -> tuple[bytes, str] | None:
        """The bytes of a result's image and their media type, or None if it is not kept.

        They are what the camera sent, or a PNG of its pixels. A file that is not what was written
        is not given.
        """
        rows = self._database.rows(
            "SELECT i.file, i.media_type, i.sha256 FROM image i JOIN result r ON r.n = i.result"
            " WHERE r.id = ?",
            (result_id,),
        )
        if not rows:
            return None
        try:
            content = read_regular(self.folder / rows[0]["file"], most_bytes=_MOST_IMAGE_BYTES)
        except OSError:
            return None
        if hashlib.sha256(content).hexdigest() != rows[0]["sha256"]:
            return None
        return content, rows[0]["media_type"]

    def _require_room(self, size_bytes: int) -> None:
        free = free_bytes(self.folder)
        if not self.reserve.is_there or free < size_bytes + self._config.reserve_bytes // 4:
            raise OSError("the disk is nearly full")

    # -- people --------------------------------------------------------------------------------

    def review(
        self, result_id: str, label: Literal["good", "defect"], *, user: str, reason: str
    ) -> None:
        """Write down what a person says of a result. Its image is kept for good.

        Raises:
            ConfigError: there is no such result.
        """
        before = self.result(result_id)
        if before is None:
            raise ConfigError(f"there is no result {result_id}")
        with self._database.writing() as transaction:
            (number,) = transaction.execute(
                "SELECT n FROM result WHERE id = ?", (result_id,)
            ).fetchone()
            transaction.execute(
                "INSERT INTO review (result, t, user, label, reason) VALUES (?, ?, ?, ?, ?)",
                (number, utc_text(), user, label, reason),
            )
            transaction.execute("UPDATE image SET pinned = 1 WHERE result = ?", (number,))
            audit.append(
                transaction,
                user=user,
                action="review",
                object=result_id,
                before=(before["review"] or {}).get("label", before["verdict"]),
                after=label,
                reason=reason,
            )

    def note_artifact(
        self, part: str, sha256: str, state: str, *, user: str, action: str, reason: str = "",
        before: str | None = None, verified_at: str | None = None, note: str | None = None,
    ) -> None:  # fmt: skip
        """Write down the state of an artifact, and who has changed it.

        If it is ``live`` now, the one that was live before is ``previous``.
        """
        with self._database.writing() as transaction:
            if state == "live":
                transaction.execute(
                    "UPDATE artifact SET state = 'previous' WHERE part = ? AND state = 'live'",
                    (part,),
                )
            transaction.execute(
                "INSERT INTO artifact VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (part, sha256) DO"
                " UPDATE SET state = excluded.state, t = excluded.t, user = excluded.user,"
                " verified_at = coalesce(excluded.verified_at, verified_at), note = excluded.note",
                (part, sha256, state, utc_text(), user, verified_at, note),
            )
            audit.append(
                transaction, user=user, action=action, object=part, before=before, after=sha256,
                reason=reason,
            )  # fmt: skip

    def note(self, *, user: str, action: str, object: str, reason: str = "") -> None:
        """Write a line of the audit trail that belongs to nothing else, such as a reload."""
        with self._database.writing() as transaction:
            audit.append(transaction, user=user, action=action, object=object, reason=reason)

    # -- what is remembered, and what is forgotten ---------------------------------------------

    @property
    def operated_s(self) -> float:
        """Seconds that this store was open in all its life. No clock that is set can change it."""
        return time.monotonic() - self._opened_s

    def remember(self, name: str, value: Any) -> None:
        """Keep a small JSON value over restarts, such as the state of a drift alarm."""
        with suppress(sqlite3.Error), self._database.writing(durable=False) as transaction:
            transaction.execute(
                "INSERT OR REPLACE INTO memory VALUES (?, ?)", (name, json_text(value))
            )

    def recall(self, name: str) -> Any:
        """What was remembered under this name, or None."""
        rows = self._database.rows("SELECT value FROM memory WHERE name = ?", (name,))
        return json.loads(rows[0]["value"]) if rows else None

    def tidy(self) -> None:
        """Delete what may not stay, and hold back room again. It is called now and then."""
        self.remember("operated_s", self.operated_s)
        reserve = self.reserve
        is_short = not reserve.is_there
        short = max(0, 2 * reserve.size_bytes - free_bytes(self.folder)) if is_short else 0
        keep = vars(self._config.keep)
        for image in to_delete(
            self._kept(), keep, budget_bytes=self._config.budget_bytes, short_bytes=short
        ):
            self._delete(image)
        self._prune_results()
        if is_short:
            with suppress(sqlite3.Error):
                self._database.checkpoint()
            reserve.rebuild()

    def status(self) -> dict[str, Any]:
        """JSON: results, images by class with their bytes, free bytes, and what has failed."""
        rows = self._database.rows(
            "SELECT class, count(*) AS images, sum(bytes) AS bytes FROM image GROUP BY class"
        )
        found = {row["class"]: row for row in rows}
        images = {
            kind: {
                "images": found[kind]["images"] if kind in found else 0,
                "bytes": found[kind]["bytes"] if kind in found else 0,
            }
            for kind in CLASSES
        }
        return {
            "is_nearly_full": not self.reserve.is_there,
            "free_bytes": free_bytes(self.folder),
            "images": images,
            "failures": dict(self.failures),
            "deleted": dict(self.deleted),
        }

    def close(self) -> None:
        """Close the file."""
        self.remember("operated_s", self.operated_s)
        self._database.close()

    def _operated_before(self) -> float:
        last_image = self._database.rows("SELECT max(kept_s) AS s FROM image")[0]["s"]
        return max(self.recall("operated_s") or 0.0, last_image or 0.0)

    def _kept(self) -> list[Kept]:
        rows = self._database.rows(
            "SELECT result, class, bytes, kept_s FROM image WHERE pinned = 0"
        )
        now = self.operated_s
        return [
            Kept(result=r["result"], kind=r["class"], bytes=r["bytes"], age_s=now - r["kept_s"])
            for r in rows
        ]

    def _delete(self, image: Kept) -> None:
        """Delete the file, then the row: a row without a file is found and removed next time."""
        (row,) = self._database.rows("SELECT file FROM image WHERE result = ?", (image.result,))
        path = self.folder / row["file"]
        try:
            path.unlink(missing_ok=True)
            with self._database.writing() as transaction:
                transaction.execute("DELETE FROM image WHERE result = ?", (image.result,))
        except (OSError, sqlite3.Error):
            return
        self.deleted[image.kind] += 1
        with suppress(OSError):  # it holds other images
            path.parent.rmdir()

    def _prune_results(self) -> None:
        """Remove the oldest results above the limit that have no image and wait for no sink."""
        with suppress(sqlite3.Error), self._database.writing() as transaction:
            transaction.execute(
                "DELETE FROM result WHERE n IN (SELECT n FROM result r WHERE n <="
                " (SELECT max(n) FROM result) - ?"
                " AND NOT EXISTS (SELECT 1 FROM image WHERE result = r.n)"
                " AND NOT EXISTS (SELECT 1 FROM review WHERE result = r.n)"
                " AND NOT EXISTS (SELECT 1 FROM outbox WHERE result = r.n) ORDER BY n LIMIT ?)",
                (self._config.most_results, _PRUNED_AT_ONCE),
            )


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
