"""The endpoints of the protocol: health, metadata, infer."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from edge_ad_line.line import Line
from edge_ad_line.result import Result
from edge_ad_line.web.access import User
from edge_ad_line.web.answers import json_answer, status_of
from edge_ad_line.web.inference.tensors import (
    HEADER_LENGTH,
    OUTPUTS,
    InferRequest,
    answered,
    parsed,
)
from edge_ad_line.web.requests import body_of
from edge_ad_line.web.work import Work
from edge_ad_runtime import __version__
from edge_ad_runtime.detector import Detector
from edge_ad_runtime.images import decode_image

_VERSION_DIGITS = 12


class Inference:
    """The endpoints. ``live`` and ``ready`` are for anyone: an orchestrator has no token."""

    def __init__(self, line: Line, scoring: Work) -> None:
        self._line, self._scoring = line, scoring

    async def live(self, request: Request) -> Response:
        """The process answers. A lost camera or broker is no reason to start it again."""
        return json_answer({"live": True})

    async def ready(self, request: Request) -> Response:
        """Every part is verified and its camera is there."""
        is_ready = self._line.is_ready()
        return json_answer({"ready": is_ready}, 200 if is_ready else 503)

    async def server(self, request: Request, user: User) -> Response:
        """What this server is."""
        extensions = ["binary_tensor_data"]
        return json_answer({"name": "edge_ad", "version": __version__, "extensions": extensions})

    async def model(self, request: Request, user: User) -> Response:
        """Inputs and outputs of a part. An image may also be UINT8, ``[1, height, width, 3]``."""
        name, detector = self._model(request)
        rows, cols = detector.manifest.preprocessing.size
        shapes = {"score": [1], "threshold": [1], "anomalous": [1], "map": [1, rows, cols]}
        return json_answer(
            {
                "name": name,
                "versions": [_version(detector)],
                "platform": "edge_ad",
                "inputs": [{"name": "image", "datatype": "BYTES", "shape": [1]}],
                "outputs": [
                    {"name": output, "datatype": kind, "shape": shapes[output]}
                    for output, kind in OUTPUTS.items()
                ],
            }
        )

    async def model_ready(self, request: Request, user: User) -> Response:
        """A part that is loaded is verified."""
        name, _ = self._model(request)
        return json_answer({"name": name, "ready": True})

    async def infer(self, request: Request, user: User) -> Response:
        """Score an image. The result is stored like any other."""
        name, _ = self._model(request)
        web = self._line.config.web
        assert web is not None, "the configuration of what answers here"
        async with self._scoring as work:
            body = await body_of(request, web.most_body_bytes)
            asked = parsed(body, request.headers.get(HEADER_LENGTH))
            result = await work.run(partial(self._line.score, name, asked.image))
            record = result.to_record()
            if result.verdict == "error":
                status = 400 if result.reason == "unreadable" else status_of(record)
                raise HTTPException(status, result.error or str(result.reason))
            values = await work.run(partial(self._values, name, result, asked))
        about = {key: record[key] for key in ("verdict", "seq")} | {"result_id": result.id}
        version = (result.artifact or "")[:_VERSION_DIGITS]
        content, headers = answered(name, version, asked, values, about)
        return Response(content, headers=headers)

    def _values(self, name: str, result: Result, asked: InferRequest) -> dict[str, NDArray[Any]]:
        assert result.score is not None and result.threshold is not None, "it is no error"
        values: dict[str, NDArray[Any]] = {
            "score": np.array([result.score]),
            "threshold": np.array([result.threshold]),
            "anomalous": np.array([result.verdict == "anomalous"]),
        }
        if "map" in asked.outputs:
            values["map"] = self._map(name, result, asked)
        return values

    def _map(self, name: str, result: Result, asked: InferRequest) -> NDArray[np.float32]:
        """The map, ``(1, H, W)``, by another run, as results have none."""
        detector = self._line.parts[name].detector
        if detector.manifest.sha256 != result.artifact:
            raise HTTPException(503, "the artifact has just been changed; ask again")
        image = asked.image
        if isinstance(image, bytes):
            image = decode_image(image)
        found = detector.predict(image).map
        if found is None:
            raise HTTPException(400, "map: this artifact has maps of anomalous images alone")
        return found[np.newaxis]

    def _model(self, request: Request) -> tuple[str, Detector]:
        name = request.path_params["part"]
        station = self._line.parts.get(name)
        if station is None:
            raise HTTPException(404, f"there is no model {name!r}")
        detector = station.detector
        asked = request.path_params.get("version", _version(detector))
        if asked != _version(detector):
            raise HTTPException(
                404, f"model {name!r} has the version {_version(detector)}, not {asked!r}"
            )
        return name, detector


def _version(detector: Detector) -> str:
    return detector.manifest.sha256[:_VERSION_DIGITS]
