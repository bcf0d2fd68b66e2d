"""Who changed what, and why: rows that each hold the hash of the one before.

A row that is edited, removed or moved breaks the chain. (Whoever can write the whole file can make
a new chain. The last hash goes out with the device's health, so that somebody else holds it too.)
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterable, Mapping
from typing import Any

from edge_ad_line.result import utc_text
from edge_ad_runtime.escaping import json_text

FIRST = "0" * 64
_HASHED = ("n", "t", "user", "action", "object", "before", "after", "reason", "prev")


def append(
    transaction: sqlite3.Connection,
    *,
    user: str,
    action: str,
    object: str,
    before: str | None = None,
    after: str | None = None,
    reason: str = "",
) -> None:
    """Add a row in a transaction, so that it is there if what it tells of is there."""
    last = transaction.execute("SELECT n, hash FROM audit ORDER BY n DESC LIMIT 1").fetchone()
    row: dict[str, Any] = {
        "n": 1 if last is None else last["n"] + 1,
        "t": utc_text(),
        "user": user,
        "action": action,
        "object": object,
        "before": before,
        "after": after,
        "reason": reason,
        "prev": FIRST if last is None else last["hash"],
    }
    row["hash"] = hash_of(row)
    names = ", ".join(row)
    marks = ", ".join("?" * len(row))
    transaction.execute(f"INSERT INTO audit ({names}) VALUES ({marks})", tuple(row.values()))


def hash_of(row: Mapping[str, Any]) -> str:
    """The SHA-256 of a row's content and the hash of the row before."""
    text = json_text([row[name] for name in _HASHED])
    return hashlib.sha256(text.encode()).hexdigest()


def first_broken(rows: Iterable[Mapping[str, Any]]) -> int | None:
    """The number of the first row that is not what was written, or None if all are.

    Args:
        rows: all rows, in order.
    """
    previous, expected = FIRST, 1
    for row in rows:
        if row["n"] != expected or row["prev"] != previous or row["hash"] != hash_of(row):
            return expected
        previous, expected = row["hash"], expected + 1
    return None
