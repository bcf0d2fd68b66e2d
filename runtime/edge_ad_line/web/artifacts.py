"""Artifacts of a part: upload, promote, roll back. And who did what: the audit trail."""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from edge_ad_line.line import Line
from edge_ad_line.web.access import User
from edge_ad_line.web.answers import json_answer
from edge_ad_line.web.requests import each_chunk, json_of, number_of, query_of
from edge_ad_line.web.results import part_of
from edge_ad_line.web.work import Work

_MOST_ARTIFACT_BYTES = 4 << 30
_UPLOAD_S = 1800.0
_MOST_ROWS = 1000


class Artifacts:
    """The endpoints. One upload at a time is taken in."""

    def __init__(self, line: Line, reading: Work) -> None:
        self._line, self._reading = line, reading
        self._uploading = Work(threads=1, most=1)

    async def artifacts(self, request: Request, user: User) -> Response:
        """The artifacts of a part, newest first."""
        query_of(request, ())
        part = part_of(self._line, request)
        async with self._reading as work:
            found = await work.run(partial(self._line.store.artifacts, part))
        return json_answer({"artifacts": found})

    async def upload(self, request: Request, user: User) -> Response:
        """The body is a packed artifact. It is verified beside the live one, which goes on."""
        part = part_of(self._line, request)
        async with self._uploading as work:
            with tempfile.TemporaryDirectory(prefix="upload-", dir=self._folder()) as folder:
                archive = Path(folder) / "upload.edgead"
                with archive.open("xb") as file:
                    await each_chunk(request, _MOST_ARTIFACT_BYTES, file.write, seconds=_UPLOAD_S)
                sha256 = await work.run(partial(self._line.upload, part, archive, user=user.name))
        return json_answer({"part": part, "sha256": sha256, "state": "staged"}, 201)

    async def promote(self, request: Request, user: User) -> Response:
        """A staged artifact, or an earlier one, judges from the next image on."""
        part = part_of(self._line, request)
        given = await json_of(request, ("sha256", "reason"))
        _require_reason(given)
        promote = partial(
            self._line.promote, part, given["sha256"], user=user.name, reason=given["reason"]
        )
        async with self._uploading as work:
            await work.run(promote)
        return await self._live(part)

    async def roll_back(self, request: Request, user: User) -> Response:
        """The artifact before the live one judges again."""
        part = part_of(self._line, request)
        given = await json_of(request, ("reason",))
        _require_reason(given)
        back = partial(self._line.roll_back, part, user=user.name, reason=given["reason"])
        async with self._uploading as work:
            await work.run(back)
        return await self._live(part)

    async def audit(self, request: Request, user: User) -> Response:
        """Who changed what, and whether every row is what was written.

        Rows come oldest first after the row ``after``, or with ``newest`` so many, newest first.
        """
        query = query_of(request, ("after", "limit", "newest"))
        after = number_of(query, "after", default=0, most=1 << 53)
        limit = number_of(query, "limit", default=100, most=_MOST_ROWS)
        newest = number_of(query, "newest", default=0, most=_MOST_ROWS)
        store = self._line.store
        read = partial(store.newest_audit, newest) if newest else partial(store.audit, after, limit)
        async with self._reading as work:
            rows = await work.run(read)
            is_whole = await work.run(store.audit_is_whole)
        return json_answer({"rows": rows, "is_whole": is_whole})

    async def _live(self, part: str) -> Response:
        async with self._reading as work:
            found: list[dict[str, Any]] = await work.run(partial(self._line.store.artifacts, part))
        return json_answer({"part": part, "artifacts": found})

    def _folder(self) -> Path:
        folder = self._line.store.folder / "uploads"
        folder.mkdir(exist_ok=True)
        return folder


def _require_reason(given: dict[str, str]) -> None:
    if not given["reason"]:
        raise HTTPException(400, "reason: say why; it is kept in the audit trail")
