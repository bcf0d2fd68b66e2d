"""Images beside their results: files by day, each with a row only when all of it is on the disk."""

from __future__ import annotations

import hashlib
import sqlite3
import time
from contextlib import suppress
from pathlib import Path

from edge_ad_line.config import KeepConfig, StoreConfig
from edge_ad_line.store.database import Database
from edge_ad_line.store.memory import Memory
from edge_ad_line.store.reserve import Reserve, free_bytes
from edge_ad_line.store.retention import CLASSES, ImageClass, Kept, to_delete
from edge_ad_runtime.artifact.atomic import write_file
from edge_ad_runtime.regular_file import read_regular

SUFFIXES = {"image/png": ".png", "image/jpeg": ".jpg", "image/bmp": ".bmp", "image/tiff": ".tif",
            "image/webp": ".webp"}  # fmt: skip
_MOST_IMAGE_BYTES = 1 << 31
_MOST_AT_ONCE = 500  # of a class, each ten seconds


class Images:
    """The images of one device.

    Attributes:
        lost: how many could not be kept.
        deleted: how many of each class retention has deleted.
    """

    def __init__(
        self,
        folder: Path,
        database: Database,
        memory: Memory,
        reserve: Reserve,
        config: StoreConfig,
    ) -> None:
        self._folder, self._database, self._memory = folder, database, memory
        self._reserve, self._config = reserve, config
        self.lost = 0
        self.deleted: dict[str, int] = dict.fromkeys(CLASSES, 0)

    def keep(self, result_id: str, content: bytes, media_type: str, kind: ImageClass) -> bool:
        """Write an image beside its result, and say whether it could be.

        It has its name only when all of it is on the disk, and its row only then. While the disk is
        nearly full no image is written, so that there is room for results.
        """
        folder = self._folder / "images" / time.strftime("%Y-%m-%d", time.gmtime())
        path = folder / f"{result_id}{SUFFIXES.get(media_type, '.bin')}"
        try:
            self._require_room(len(content))
            folder.mkdir(exist_ok=True)
            write_file(path, content)
            digest = hashlib.sha256(content).hexdigest()
            with self._database.writing() as transaction:
                transaction.execute(
                    "INSERT INTO image SELECT n, ?, ?, ?, ?, ?, ?, 0 FROM result WHERE id = ?",
                    (kind, str(path.relative_to(self._folder)), media_type, len(content), digest,
                     self._memory.operated_s, result_id),
                )  # fmt: skip
        except (OSError, sqlite3.Error):
            self.lost += 1
            with suppress(OSError):
                path.unlink()
            return False
        return True

    def get(self, result_id: str) -> tuple[bytes, str] | None:
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
            content = read_regular(self._folder / rows[0]["file"], most_bytes=_MOST_IMAGE_BYTES)
        except OSError:
            return None
        if hashlib.sha256(content).hexdigest() != rows[0]["sha256"]:
            return None
        return content, rows[0]["media_type"]

    def _require_room(self, size_bytes: int) -> None:
        free = free_bytes(self._folder)
        if not self._reserve.is_there or free < size_bytes + self._config.reserve_bytes // 4:
            raise OSError("the disk is nearly full")

    def retain(self, keep: KeepConfig) -> None:
        """Delete what may not stay. While the reserve is gone, good images make room for it."""
        reserve = self._reserve
        short = 0
        if not reserve.is_there:
            short = max(0, 2 * reserve.size_bytes - free_bytes(self._folder))
        used = {kind: found["unpinned_bytes"] for kind, found in self._totals().items()}
        for image in to_delete(
            self._oldest(),
            used,
            vars(keep),
            budget_bytes=self._config.budget_bytes,
            short_bytes=short,
        ):
            self._delete(image)

    def to_record(self) -> dict[str, dict[str, int]]:
        """JSON: how many images there are of each class, and their bytes."""
        return {
            kind: {"images": found["images"], "bytes": found["bytes"]}
            for kind, found in self._totals().items()
        }

    def _totals(self) -> dict[str, dict[str, int]]:
        rows = self._database.rows(
            "SELECT class, count(*) AS images, sum(bytes) AS bytes,"
            " sum(bytes * (1 - pinned)) AS unpinned_bytes FROM image GROUP BY class"
        )
        nothing = {"images": 0, "bytes": 0, "unpinned_bytes": 0}
        found = {row["class"]: {name: row[name] for name in nothing} for row in rows}
        return {kind: found.get(kind, nothing) for kind in CLASSES}

    def _oldest(self) -> list[Kept]:
        """The oldest of each class that are not pinned. A disk may hold millions."""
        now_s = self._memory.operated_s
        return [
            Kept(result=r["result"], kind=kind, bytes=r["bytes"], age_s=now_s - r["kept_s"])
            for kind in CLASSES
            for r in self._database.rows(
                "SELECT result, bytes, kept_s FROM image WHERE class = ? AND pinned = 0"
                " ORDER BY result LIMIT ?",
                (kind, _MOST_AT_ONCE),
            )
        ]

    def _delete(self, image: Kept) -> None:
        """Delete the file, then the row: a row without a file is found and removed next time."""
        (row,) = self._database.rows("SELECT file FROM image WHERE result = ?", (image.result,))
        path = self._folder / row["file"]
        try:
            path.unlink(missing_ok=True)
            with self._database.writing() as transaction:
                transaction.execute("DELETE FROM image WHERE result = ?", (image.result,))
        except (OSError, sqlite3.Error):
            return
        self.deleted[image.kind] += 1
        with suppress(OSError):  # it holds other images
            path.parent.rmdir()
