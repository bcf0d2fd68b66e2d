"""The operator page: static files, and the cookie with which a browser signs in."""

from __future__ import annotations

import hashlib
from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from edge_ad_line.web.access import COOKIE, Access, User
from edge_ad_line.web.answers import json_answer
from edge_ad_line.web.requests import json_of

STATIC = Path(__file__).with_name("static")

_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}
_MONTH_S = 30 * 24 * 3600  # a panel stays signed in


class Page:
    """The files, read once, and who is signed in."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._files = {
            path.relative_to(STATIC).as_posix(): path.read_bytes()
            for path in sorted(STATIC.rglob("*"))
            if path.suffix in _TYPES
        }

    async def file(self, request: Request) -> Response:
        """A file of the page. Anyone may have it: it holds nothing of the line."""
        name = request.path_params.get("name", "index.html")
        content = self._files.get(name)
        if content is None:
            raise HTTPException(404, f"there is no {name!r}")
        tag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
        headers = {"ETag": tag, "Cache-Control": "no-cache"}
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
        kind = _TYPES[Path(name).suffix]
        return Response(content, media_type=kind, headers=headers)

    async def who(self, request: Request, user: User) -> Response:
        """Who is signed in, and whether one can sign out."""
        return json_answer({"name": user.name, "role": user.role, "is_open": self._access.is_open})

    async def sign_in(self, request: Request) -> Response:
        """Take a token from the page, and give it back as a cookie that no script can read."""
        self._access.refuse_other_sites(request)
        token = (await json_of(request, ("token",)))["token"]
        user = self._access.known(token)
        if user is None:
            raise HTTPException(401, "this token is not known here")
        answer = json_answer({"name": user.name, "role": user.role, "is_open": False})
        answer.set_cookie(
            COOKIE,
            token,
            max_age=_MONTH_S,
            httponly=True,
            samesite="strict",
            secure=request.url.scheme == "https",
        )
        return answer

    async def sign_out(self, request: Request) -> Response:
        """Forget the cookie."""
        self._access.refuse_other_sites(request)
        answer = json_answer({})
        answer.delete_cookie(COOKIE, httponly=True, samesite="strict")
        return answer
