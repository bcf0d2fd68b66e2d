"""Small values that outlive a restart, and a clock that nobody can set."""

from __future__ import annotations

import json
import sqlite3
import time
from contextlib import suppress
from typing import Any

from edge_ad_line.store.database import Database
from edge_ad_runtime.escaping import json_text


class Memory:
    """What is remembered over restarts, and for how long the store was open in all."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._opened_s = time.monotonic() - self._operated_before()

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

    def save_clock(self) -> None:
        """Keep `operated_s` over a restart."""
        self.remember("operated_s", self.operated_s)

    def _operated_before(self) -> float:
        last_image = self._database.rows("SELECT max(kept_s) AS s FROM image")[0]["s"]
        return max(self.recall("operated_s") or 0.0, last_image or 0.0)
