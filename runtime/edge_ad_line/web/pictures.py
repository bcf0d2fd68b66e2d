"""Pictures of results for eyes: smaller copies, and overlays that are made on demand."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Any

import cv2
import numpy as np
from starlette.exceptions import HTTPException

from edge_ad_line.line import Line
from edge_ad_runtime.images import RGBImage, decode_image
from edge_ad_runtime.pictures.overlay import draw_heat

_KEPT = 32  # overlays
_QUALITY = [cv2.IMWRITE_JPEG_QUALITY, 85]


class Pictures:
    """Makes one picture at a time, so that the line's own work goes on beside it."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._one_at_a_time = threading.Lock()
        self._made: OrderedDict[str, bytes] = OrderedDict()

    def image(self, record: dict[str, Any], width: int) -> tuple[bytes, str] | None:
        """The image of a result and its media type, or None if it is not kept.

        Args:
            record: the record of the result.
            width: in pixels. 0 gives the very bytes that were scored. Otherwise it is a JPEG that
                is no wider, for eyes alone.
        """
        found = self._line.image(record["id"])
        if found is None or not width:
            return found
        with self._one_at_a_time:
            return jpeg(_narrowed(decode_image(found[0]), width)), "image/jpeg"

    def overlay(self, record: dict[str, Any]) -> bytes:
        """A JPEG of the image under its anomaly map.

        Raises:
            HTTPException: 404 without an image, 409 if another artifact has judged it, or if there
                is no map of it.
        """
        with self._one_at_a_time:
            made = self._made.get(record["id"])
            if made is None:
                made = self._drawn(record)
                self._made[record["id"]] = made
                while len(self._made) > _KEPT:
                    self._made.popitem(last=False)
            return made

    def _drawn(self, record: dict[str, Any]) -> bytes:
        found = self._line.image(record["id"])
        if found is None:
            raise HTTPException(404, "the image of this result is not kept")
        station = self._line.parts.get(record["part"])
        detector = station.detector if station else None
        if detector is None or detector.manifest.sha256 != record["artifact"]:
            raise HTTPException(
                409, "another artifact has judged this image than the one that is live now"
            )
        image = decode_image(found[0])
        prediction = detector.predict(image)
        if prediction.map is None:
            raise HTTPException(409, "there is no map of this image")
        return jpeg(draw_heat(image, prediction, detector.manifest.preprocessing))


def jpeg(image: RGBImage) -> bytes:
    """A JPEG for eyes. Its score is another one, so nothing is learned or judged from it."""
    _, encoded = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), _QUALITY)
    return encoded.tobytes()


def _narrowed(image: RGBImage, width: int) -> RGBImage:
    height = max(1, round(image.shape[0] * width / image.shape[1]))
    if width >= image.shape[1]:
        return image
    smaller = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(smaller, np.uint8)
