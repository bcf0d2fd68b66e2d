"""What people do: reviews, artifacts, and the audit trail that tells of both."""

from __future__ import annotations

from typing import Any, Literal

from edge_ad_line.result import utc_text
from edge_ad_line.store import audit
from edge_ad_line.store.database import Database
from edge_ad_runtime.errors import ConfigError


class Journal:
    """Who changed what, and why. Each change and its row of the trail are one transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

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

    def review(
        self, result_id: str, label: Literal["good", "defect"], *, user: str, reason: str
    ) -> None:
        """Write down what a person says of a result. Its image is kept for good.

        Raises:
            ConfigError: there is no such result.
        """
        with self._database.writing() as transaction:
            row = transaction.execute(
                "SELECT n, coalesce((SELECT label FROM review WHERE result = r.n"
                " ORDER BY review.n DESC LIMIT 1), verdict) AS before FROM result r WHERE id = ?",
                (result_id,),
            ).fetchone()
            if row is None:
                raise ConfigError(f"there is no result {result_id}")
            number, before = row
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
                before=before,
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
