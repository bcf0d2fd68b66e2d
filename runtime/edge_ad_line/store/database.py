"""One SQLite file that survives a kill and a power cut: WAL, and each commit waits for the disk."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from edge_ad_runtime.errors import ConfigError

VERSION = 1

# `n` orders everything; clocks are for people. Images and reviews are found by their result's n.
_TABLES = """
CREATE TABLE result (
    n INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    part TEXT NOT NULL,
    seq INTEGER NOT NULL,
    verdict TEXT NOT NULL,
    camera TEXT,
    source TEXT,
    key TEXT,
    nearness REAL,
    doc TEXT NOT NULL,
    UNIQUE (part, seq)
) STRICT;
CREATE INDEX result_by_part ON result (part, n);
CREATE INDEX result_by_verdict ON result (verdict, n);
CREATE UNIQUE INDEX result_by_source ON result (camera, source) WHERE source IS NOT NULL;
CREATE UNIQUE INDEX result_by_key ON result (part, key) WHERE key IS NOT NULL;
CREATE TABLE part (name TEXT PRIMARY KEY, seq INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE in_hand (
    part TEXT PRIMARY KEY, doc TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE image (
    result INTEGER PRIMARY KEY,
    class TEXT NOT NULL,
    file TEXT NOT NULL,
    media_type TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    sha256 TEXT NOT NULL,
    kept_s REAL NOT NULL,
    pinned INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX image_by_class ON image (class, pinned, result);
CREATE INDEX image_totals ON image (class, pinned, bytes);
CREATE TABLE outbox (
    n INTEGER PRIMARY KEY AUTOINCREMENT,
    sink TEXT NOT NULL,
    kind TEXT NOT NULL,
    result INTEGER,
    body TEXT,
    is_good INTEGER NOT NULL,
    queued_s REAL NOT NULL,
    refused TEXT
) STRICT;
CREATE INDEX outbox_by_sink ON outbox (sink, n) WHERE refused IS NULL;
CREATE INDEX outbox_good ON outbox (sink, n) WHERE is_good AND refused IS NULL;
CREATE TABLE review (
    n INTEGER PRIMARY KEY AUTOINCREMENT,
    result INTEGER NOT NULL,
    t TEXT NOT NULL,
    user TEXT NOT NULL,
    label TEXT NOT NULL,
    reason TEXT NOT NULL
) STRICT;
CREATE INDEX review_by_result ON review (result);
CREATE TABLE artifact (
    part TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    state TEXT NOT NULL,
    t TEXT NOT NULL,
    user TEXT NOT NULL,
    verified_at TEXT,
    note TEXT,
    PRIMARY KEY (part, sha256)
) STRICT;
CREATE TABLE audit (
    n INTEGER PRIMARY KEY AUTOINCREMENT,
    t TEXT NOT NULL,
    user TEXT NOT NULL,
    action TEXT NOT NULL,
    object TEXT NOT NULL,
    before TEXT,
    after TEXT,
    reason TEXT NOT NULL,
    prev TEXT NOT NULL,
    hash TEXT NOT NULL
) STRICT;
CREATE TABLE memory (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
"""


class Database:
    """One connection that writes and one that reads, each used by one thread at a time."""

    def __init__(self, path: Path) -> None:
        """Open the file, or make it.

        Raises:
            ConfigError: it cannot be opened, is damaged, or was written by a newer runtime.
        """
        self._path = path
        self._write_lock, self._read_lock = threading.RLock(), threading.Lock()
        try:
            self._writer = _connected(path)
            self._prepare()
            self._reader = _connected(path)
            self._reader.execute("PRAGMA query_only = 1")
        except sqlite3.Error as exc:
            raise ConfigError(f"{path}: cannot be opened: {exc}") from exc

    @contextmanager
    def writing(self, *, durable: bool = True) -> Iterator[sqlite3.Connection]:
        """A transaction that is on the disk when the block has ended, or has changed nothing.

        Args:
            durable: whether to wait for the disk. Otherwise the transaction survives a kill, and
                not surely a power cut before the next one that is durable.

        Raises:
            sqlite3.Error: it could not be written. A full disk is an OperationalError.
        """
        with self._write_lock:
            self._writer.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                yield self._writer
                self._writer.execute("COMMIT")
            except BaseException:
                if self._writer.in_transaction:
                    self._writer.execute("ROLLBACK")
                raise

    def rows(self, sql: str, values: tuple[Any, ...] = ()) -> list[sqlite3.Row]:
        """What a query finds in what is committed."""
        with self._read_lock:
            return self._reader.execute(sql, values).fetchall()

    def checkpoint(self) -> None:
        """Move what the log holds into the file, and make the log short."""
        with self._write_lock:
            self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def close(self) -> None:
        """Close both connections. The last one moves the log into the file."""
        with self._read_lock:
            self._reader.close()
        with self._write_lock:
            self._writer.close()

    def _prepare(self) -> None:
        (version,) = self._writer.execute("PRAGMA user_version").fetchone()
        if version > VERSION:
            raise ConfigError(
                f"{self._path}: has version {version}, this runtime reads {VERSION}; upgrade "
                "edge-ad-runtime"
            )
        if version == 0:
            script = f"BEGIN IMMEDIATE; {_TABLES} PRAGMA user_version = {VERSION}; COMMIT;"
            self._writer.executescript(script)


def _connected(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10)
    connection.row_factory = sqlite3.Row
    # a short log, as on a small disk it is what is full first, and 1 MB of pages in memory
    for pragma in (
        "journal_mode = WAL", "synchronous = FULL", "wal_autocheckpoint = 256",
        "journal_size_limit = 1048576", "cache_size = -1000",
    ):  # fmt: skip
        connection.execute(f"PRAGMA {pragma}").fetchall()
    return connection
