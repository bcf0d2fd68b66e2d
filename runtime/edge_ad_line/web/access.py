"""Who may do what: bearer tokens by role, and none from another site's pages.

A token comes in the header ``Authorization: Bearer``, or in the cookie that the operator page gets
for one. Without a file of tokens the line answers whoever is on the device itself, and nobody else.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import stat
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from starlette.exceptions import HTTPException
from starlette.requests import Request

from edge_ad_line.config import WebConfig
from edge_ad_runtime.artifact import strict
from edge_ad_runtime.artifact.bounds import Matching
from edge_ad_runtime.errors import ConfigError
from edge_ad_runtime.regular_file import read_regular

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Role = Literal["viewer", "operator", "engineer"]
ROLES: tuple[Role, ...] = ("viewer", "operator", "engineer")
"""Each may do what those before it may."""

COOKIE = "edge_ad_token"

_MOST_BYTES = 1_000_000
_SAFE_METHODS = ("GET", "HEAD", "OPTIONS")


@dataclass(frozen=True, kw_only=True)
class User:
    """Whoever asks.

    Attributes:
        name: what the audit trail and reviews call them.
        role: what they may do.
    """

    name: str
    role: Role

    def may(self, needed: Role) -> bool:
        """Whether the role suffices."""
        return ROLES.index(self.role) >= ROLES.index(needed)


@dataclass(frozen=True, kw_only=True)
class Token:
    """``[[token]]`` in the file of tokens.

    Attributes:
        name: of the person, the panel or the program that has the token.
        role: ``viewer``, ``operator`` or ``engineer``.
        token: 20 to 200 letters, digits and signs, such as ``openssl rand -hex 24`` prints.
    """

    name: Annotated[str, Matching(r"\S(.{0,98}\S)?", "1 to 100 characters, no space at an end")]
    role: Role
    token: Annotated[
        str, Matching(r"[A-Za-z0-9._~+/=-]{20,200}", "20 to 200 letters, digits and ._~+/=-")
    ]


@dataclass(frozen=True, kw_only=True)
class Tokens:
    """The whole file: ``token`` is a list of tables."""

    token: tuple[Token, ...]

    def __post_init__(self) -> None:
        if not self.token:
            raise ValueError("there is no [[token]]; without any nobody could sign in")
        for what in ("name", "token"):
            values = [getattr(token, what) for token in self.token]
            if len(set(values)) < len(values):
                raise ValueError(f"two [[token]] have the same {what}")


class Access:
    """Decides who a request comes from. It knows the digests of the tokens alone."""

    def __init__(self, tokens: Tokens | None) -> None:
        self._users = [
            (_digest(token.token), User(name=token.name, role=token.role))
            for token in (tokens.token if tokens else ())
        ]

    @classmethod
    def of(cls, config: WebConfig) -> Access:
        """Read the file of tokens, if there is one.

        Raises:
            ConfigError: it cannot be used, or there is none and others could reach the device.
        """
        if config.tokens is not None:
            return cls(read_tokens(Path(config.tokens)))
        if not _is_loopback(config.host):
            raise ConfigError(
                f"[web] listen is {config.listen!r}, which others can reach, and there are no "
                "tokens; give a file of them with `tokens`, or listen on 127.0.0.1"
            )
        return cls(None)

    @property
    def is_open(self) -> bool:
        """Whether there are no tokens, so that whoever is on this device may do all."""
        return not self._users

    def user(self, request: Request) -> User:
        """Who asks.

        Raises:
            HTTPException: 401 without a token that is known, 403 from a page of another site.
        """
        self.refuse_other_sites(request)
        if self.is_open:
            return User(name="local", role="engineer")
        user = self.known(_token_of(request))
        if user is None:
            raise HTTPException(
                401,
                "a token is needed: Authorization: Bearer TOKEN",
                {"WWW-Authenticate": "Bearer"},
            )
        return user

    def known(self, token: str) -> User | None:
        """Whose token it is. It takes equally long for each, known or not."""
        digest, found = _digest(token), None
        for known, user in self._users:
            if hmac.compare_digest(known, digest):
                found = user
        return found

    def refuse_other_sites(self, request: Request) -> None:
        """Refuse what a page of another site makes a browser ask.

        Raises:
            HTTPException: 403.
        """
        host = request.headers.get("host", "")
        if self.is_open and not _is_loopback(urlsplit(f"//{host}").hostname or ""):
            raise HTTPException(403, f"this line is reached at its own address, not at {host!r}")
        origin = request.headers.get("origin")
        if origin is None or request.method in _SAFE_METHODS:
            return
        if urlsplit(origin).netloc != host:
            raise HTTPException(403, f"a page of {origin!r} may not change this line")


def read_tokens(path: Path) -> Tokens:
    """Read a file of tokens.

    Raises:
        ConfigError: it cannot be read, others may read it, or it is not what it should be.
    """
    try:
        if path.stat().st_mode & stat.S_IROTH:
            raise ConfigError(f"{path}: everybody may read it; chmod o-r {path}")
        text = read_regular(path, most_bytes=_MOST_BYTES).decode("utf-8")
        return strict.parse(Tokens, tomllib.loads(text))
    except OSError as exc:
        raise ConfigError(f"{path}: cannot be read: {exc.strerror}") from exc
    except ConfigError:
        raise
    except ValueError as exc:
        raise ConfigError(f"{path}: {exc}") from exc


def _token_of(request: Request) -> str:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return token.strip()
    return request.cookies.get(COOKIE, "")


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
