"""`Store`: results and what belongs to them. A result is on the disk before anybody hears of it."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from edge_ad_line.config import StoreConfig
from edge_ad_line.result import Result
from edge_ad_line.store.database import Database
from edge_ad_line.store.images import Images
from edge_ad_line.store.journal import Journal
from edge_ad_line.store.memory import Memory
from edge_ad_line.store.outbox import Outbox
from edge_ad_line.store.reserve import Reserve, free_bytes
from edge_ad_line.store.results import Results
from edge_ad_runtime.errors import ConfigError


class Store:
    """The disk of one device. Any thread may use it.

    Attributes:
        folder: where everything is.
        outbox: the messages that wait for sinks.
        images: the images of results.
        journal: reviews, artifacts and the audit trail.
        memory: small values that outlive a restart.
        reserve: room for results on a full disk.
        unstored: how many results the disk has not taken.
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
        self.database = Database(self.folder / "line.sqlite")
        self.reserve = Reserve(self.folder / "reserve", config.reserve_bytes)
        self.outbox = Outbox(self.database)
        self.memory = Memory(self.database)
        self.journal = Journal(self.database)
        self.images = Images(self.folder, self.database, self.memory, self.reserve, config)
        self._results = Results(self.database, self.outbox)
        self.unstored = 0

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
                now_s = self.memory.operated_s
                return self._results.add(result, source=source, key=key, now_s=now_s)
            except sqlite3.IntegrityError:  # another one with this key was quicker
                before = None if key is None else self.with_key(result.part, key)
                if before is None:
                    raise
                return Result.of_record(before)
            except sqlite3.Error:
                if attempt == 0 and self.reserve.size_bytes and self.reserve.release():
                    continue
                self.unstored += 1
                break
        return replace(result, seq=None, stored=False, image=None)

    def tell(self, kind: str, record: dict[str, Any]) -> None:
        """Queue an alarm for every sink. A full disk loses it."""
        with suppress(sqlite3.Error):
            with self.database.writing() as transaction:
                self.outbox.add(transaction, kind, record=record, now_s=self.memory.operated_s)
            self.outbox.wake()

    def results(
        self,
        part: str | None = None,
        verdict: str | None = None,
        after: str | None = None,
        limit: int = 50,
        before: str | None = None,
    ) -> list[dict[str, Any]]:
        """Records of results. See `Results.results`."""
        return self._results.results(part, verdict, after, limit, before)

    def result(self, result_id: str) -> dict[str, Any] | None:
        """The record of one result, with ``review`` beside, or None if there is no such result."""
        return self._results.result(result_id)

    def review_queue(self, part: str | None = None, limit: int = 50) -> list[dict[str, Any]]:
        """What a person should look at first. See `Results.review_queue`."""
        return self._results.review_queue(part, limit)

    def with_key(self, part: str, key: str) -> dict[str, Any] | None:
        """The record of the result that this idempotency key has had, or None."""
        return self._results.with_key(part, key)

    def has_source(self, camera: str, source: str) -> bool:
        """Whether this image of the camera has a result already."""
        return self._results.has_source(camera, source)

    def take_in_hand(self, part: str, record: Mapping[str, Any]) -> None:
        """Write down that an image is being judged. See `Results.take_in_hand`."""
        self._results.take_in_hand(part, record)

    def in_hand(self) -> list[dict[str, Any]]:
        """The images that were being judged when the device stopped."""
        return self._results.in_hand()

    def image(self, result_id: str) -> tuple[bytes, str] | None:
        """The bytes of a result's image and their media type, or None if it is not kept."""
        return self.images.get(result_id)

    def audit(self, after: int = 0, limit: int = 100) -> list[dict[str, Any]]:
        """Rows of the audit trail after row ``after``, in order."""
        return self.journal.audit(after, limit)

    def newest_audit(self, limit: int = 100) -> list[dict[str, Any]]:
        """The last rows of the audit trail, in order."""
        return self.journal.newest_audit(limit)

    def audit_is_whole(self) -> bool:
        """Whether every row of the audit trail is what was written."""
        return self.journal.audit_is_whole()

    def artifacts(self, part: str) -> list[dict[str, Any]]:
        """The artifacts of a part. See `Journal.artifacts`."""
        return self.journal.artifacts(part)

    def tidy(self) -> None:
        """Delete what may not stay, and hold back room again. It is called now and then."""
        self.memory.save_clock()
        self.images.retain(self._config.keep)
        self._results.prune(self._config.most_results)
        if not self.reserve.is_there:
            with suppress(sqlite3.Error):
                self.database.checkpoint()
            self.reserve.rebuild()

    def keep(self, config: StoreConfig) -> None:
        """Take other limits for images. The rest of the settings is as it was."""
        self._config = replace(self._config, keep=config.keep)

    def status(self) -> dict[str, Any]:
        """JSON: images by class with their bytes, free bytes, and what has failed."""
        return {
            "is_nearly_full": not self.reserve.is_there,
            "free_bytes": free_bytes(self.folder),
            "images": self.images.to_record(),
            "failures": {"result": self.unstored, "image": self.images.lost},
            "deleted": dict(self.images.deleted),
        }

    def close(self) -> None:
        """Close the file."""
        self.memory.save_clock()
        self.database.close()
