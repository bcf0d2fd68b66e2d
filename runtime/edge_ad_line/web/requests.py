"""Bodies and parameters of requests, or a 4xx that says what is wrong with them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Collection
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request

_BODY_S = 60.0  # for a whole body; a slower one is no camera
_MOST_JSON_BYTES = 1_000_000
_MOST_HEADER_CHARACTERS = 200


async def body_of(request: Request, most_bytes: int) -> bytes:
    """The whole body.

    Raises:
        HTTPException: it is larger, too slow, compressed, or ends early.
    """
    parts: list[bytes] = []
    await each_chunk(request, most_bytes, parts.append)
    return b"".join(parts)


async def each_chunk(
    request: Request, most_bytes: int, take: Callable[[bytes], object], *, seconds: float = _BODY_S
) -> None:
    """Hand the body on as it comes. See `body_of`."""
    _refuse_encoding(request)
    announced = request.headers.get("content-length", "0")
    if announced.isdigit() and int(announced) > most_bytes:
        raise _too_large(most_bytes)
    try:
        await asyncio.wait_for(_counted(request, most_bytes, take), seconds)
    except asyncio.TimeoutError as exc:  # noqa: UP041 - another class before Python 3.11
        raise HTTPException(408, f"the body did not come within {seconds:g} s") from exc
    except ClientDisconnect as exc:
        raise HTTPException(400, "the body ended early") from exc


async def _counted(request: Request, most_bytes: int, take: Callable[[bytes], object]) -> None:
    count = 0
    async for chunk in request.stream():
        count += len(chunk)
        if count > most_bytes:
            raise _too_large(most_bytes)
        take(chunk)


def _refuse_encoding(request: Request) -> None:
    if request.headers.get("content-encoding", "identity") != "identity":
        raise HTTPException(415, "a body with Content-Encoding is not read; send it as it is")


def _too_large(most_bytes: int) -> HTTPException:
    return HTTPException(413, f"the body is larger than {most_bytes:,} bytes")


async def json_of(request: Request, keys: Collection[str]) -> dict[str, str]:
    """A small JSON object of texts.

    Args:
        request: the request.
        keys: the keys that it may have. Those that are missing are empty texts.

    Raises:
        HTTPException: it is something else, or has other keys.
    """
    content = parsed_json(await body_of(request, _MOST_JSON_BYTES))
    if not isinstance(content, dict):
        raise HTTPException(400, f"expected a JSON object, found {type(content).__name__}")
    _refuse_unknown("key", content, keys)
    for key, value in content.items():
        if not isinstance(value, str) or len(value) > 1000:
            raise HTTPException(400, f"{key}: expected a text of 1,000 characters at most")
    return {key: content.get(key, "").strip() for key in keys}


def parsed_json(content: bytes) -> Any:
    """JSON of a body.

    Raises:
        HTTPException: 400, it is none.
    """
    try:
        return json.loads(content, parse_constant=_no_number)
    except (ValueError, RecursionError) as exc:
        raise HTTPException(400, f"no JSON that is read: {exc}") from exc


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def query_of(request: Request, keys: Collection[str]) -> dict[str, str]:
    """The query's parameters, of which none is unknown or named twice.

    Raises:
        HTTPException: 400, one is.
    """
    _refuse_unknown("parameter", request.query_params, keys)
    if len(request.query_params.multi_items()) > len(request.query_params):
        raise HTTPException(400, "a parameter is there twice")
    return dict(request.query_params)


def number_of(query: dict[str, str], key: str, *, default: int, most: int) -> int:
    """A whole number in the query, from 0 on.

    Raises:
        HTTPException: 400, it is none, or larger.
    """
    text = query.get(key, str(default))
    if not (text.isascii() and text.isdigit()) or len(text) > 18 or int(text) > most:
        raise HTTPException(400, f"{key}: expected a whole number of 0 to {most}, found {text!r}")
    return int(text)


def header_of(request: Request, name: str) -> str | None:
    """A header of ours, or None if it is not there.

    Raises:
        HTTPException: 400, it is empty, too long, or has signs that cannot be seen.
    """
    value = request.headers.get(name)
    if value is None:
        return None
    if not value or len(value) > _MOST_HEADER_CHARACTERS or not value.isprintable():
        raise HTTPException(
            400, f"{name}: expected 1 to {_MOST_HEADER_CHARACTERS} printable characters"
        )
    return value


def _refuse_unknown(what: str, found: Collection[str], known: Collection[str]) -> None:
    for key in found:
        if key not in known:
            raise HTTPException(
                400, f"{what} {key!r} is not known here; known: {', '.join(known) or 'none'}"
            )
