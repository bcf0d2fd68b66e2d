"""Score and trigger, results and their pictures, and what people say of them."""

from __future__ import annotations

from functools import partial
from typing import Any, Literal, cast

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from edge_ad_line.line import Line
from edge_ad_line.web.access import User
from edge_ad_line.web.answers import json_answer, status_of
from edge_ad_line.web.pictures import Pictures
from edge_ad_line.web.requests import body_of, header_of, json_of, number_of, query_of
from edge_ad_line.web.work import Work

_MOST_RESULTS = 1000
_VERDICTS = ("good", "anomalous", "error")
_LABELS = ("good", "defect")
_WIDEST_PX = 4000
# an image stays what it is, so that a browser need not ask again
_STAYS = {"Cache-Control": "private, max-age=86400, immutable"}


class Results:
    """The endpoints. Each takes a request and whoever asks."""

    def __init__(self, line: Line, scoring: Work, reading: Work) -> None:
        self._line, self._scoring, self._reading = line, scoring, reading
        self._pictures = Pictures(line)

    async def score(self, request: Request, user: User) -> Response:
        """The body is an image. 200 is a verdict, and an image without one is no 200."""
        query_of(request, ())
        part = self._part(request)
        web = self._line.config.web
        assert web is not None, "the configuration of what answers here"
        part_id, key = header_of(request, "part-id"), header_of(request, "idempotency-key")
        async with self._scoring as work:
            image = await body_of(request, web.most_body_bytes)
            result = await work.run(
                partial(self._line.score, part, image, part_id=part_id, idempotency_key=key)
            )
        record = result.to_record()
        return json_answer(record, status_of(record))

    async def trigger(self, request: Request, user: User) -> Response:
        """The part's camera takes a picture, and it is scored."""
        part, part_id = self._part(request), header_of(request, "part-id")
        async with self._scoring as work:
            result = await work.run(partial(self._line.trigger, part, part_id=part_id))
        record = result.to_record()
        return json_answer(record, status_of(record))

    async def results(self, request: Request, user: User) -> Response:
        """Records of results, newest first, or oldest first after one that is named."""
        query = query_of(request, ("part", "verdict", "after", "before", "limit"))
        limit = number_of(query, "limit", default=50, most=_MOST_RESULTS)
        if query.get("verdict", "good") not in _VERDICTS:
            raise HTTPException(400, f"verdict: expected one of {', '.join(_VERDICTS)}")
        read = partial(
            self._line.store.results,
            query.get("part"), query.get("verdict"), query.get("after"), limit,
            query.get("before"),
        )  # fmt: skip
        async with self._reading as work:
            return json_answer({"results": await work.run(read)})

    async def result(self, request: Request, user: User) -> Response:
        """One record."""
        return json_answer(await self._record(request))

    async def image(self, request: Request, user: User) -> Response:
        """The image as the camera gave it, or with ``width`` a smaller copy for eyes."""
        query = query_of(request, ("width",))
        width = number_of(query, "width", default=0, most=_WIDEST_PX)
        record = await self._record(request)
        async with self._reading as work:
            found = await work.run(partial(self._pictures.image, record, width))
        if found is None:
            raise HTTPException(404, "the image of this result is not kept")
        return Response(found[0], media_type=found[1], headers=_STAYS)

    async def overlay(self, request: Request, user: User) -> Response:
        """The image under its anomaly map, made now by the artifact that has judged it."""
        query_of(request, ())
        record = await self._record(request)
        async with self._reading as work:
            picture = await work.run(partial(self._pictures.overlay, record))
        return Response(picture, media_type="image/jpeg", headers=_STAYS)

    async def review_queue(self, request: Request, user: User) -> Response:
        """Results that nobody has reviewed, nearest to the threshold first."""
        query = query_of(request, ("part", "limit"))
        limit = number_of(query, "limit", default=50, most=_MOST_RESULTS)
        async with self._reading as work:
            found = await work.run(partial(self._line.store.review_queue, query.get("part"), limit))
        return json_answer({"results": found})

    async def review(self, request: Request, user: User) -> Response:
        """A person says good or defect. The verdict stays what it was."""
        given = await json_of(request, ("label", "reason"))
        if given["label"] not in _LABELS:
            raise HTTPException(400, f"label: expected one of {', '.join(_LABELS)}")
        record = await self._record(request)
        label = cast(Literal["good", "defect"], given["label"])
        write = partial(
            self._line.review, record["id"], label, user=user.name, reason=given["reason"]
        )
        async with self._reading as work:
            await work.run(write)
        return json_answer(await self._record(request))

    async def _record(self, request: Request) -> dict[str, Any]:
        result_id = request.path_params["id"]
        async with self._reading as work:
            record = await work.run(partial(self._line.store.result, result_id))
        if record is None:
            raise HTTPException(404, f"there is no result {result_id!r}")
        return record

    def _part(self, request: Request) -> str:
        return part_of(self._line, request)


def part_of(line: Line, request: Request) -> str:
    """The part that the path names.

    Raises:
        HTTPException: 404, there is no such part.
    """
    name: str = request.path_params["part"]
    if name not in line.parts:
        raise HTTPException(404, f"there is no part {name!r}; there are: {', '.join(line.parts)}")
    return name
