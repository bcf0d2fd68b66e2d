"""`Camera`: what every source of pictures does, and `Frame`, one picture with when it was taken."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import cv2

from edge_ad_line.result import utc_text
from edge_ad_runtime.errors import EdgeADError
from edge_ad_runtime.images import RGBImage, decode_image

_FAST = 1  # of PNG: level 6 takes four times as long for 5% less
_MAGICS = (
    (b"\x89PNG", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"BM", "image/bmp"),
    (b"II*\0", "image/tiff"),
    (b"MM\0*", "image/tiff"),
)


class CameraError(EdgeADError):
    """A camera cannot be opened, or is lost. It is closed and opened again."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Frame:
    """One picture, as the camera's own bytes or as pixels.

    Attributes:
        begun_s: a monotonic time. The exposure has not begun before it.
        came_s: the monotonic time at which the picture came.
        captured_at: the same for people, UTC.
        encoded: the bytes of an image file, if the camera gives files.
        pixels: ``(H, W, 3)`` uint8 RGB otherwise.
        source: what names this picture for good, if the camera can tell.
        is_frozen: whether the camera has repeated this picture too often to be believed.
        stored: called when the result, and the image if it is kept, are stored.
    """

    begun_s: float
    came_s: float = field(default_factory=time.monotonic)
    captured_at: str = field(default_factory=utc_text)
    encoded: bytes | None = None
    pixels: RGBImage | None = None
    source: str | None = None
    is_frozen: bool = False
    stored: Callable[[], None] = lambda: None

    def image(self) -> RGBImage:
        """The pixels.

        Raises:
            ImageError: the camera's bytes cannot be decoded.
        """
        if self.pixels is not None:
            return self.pixels
        return decode_image(self.encoded or b"")

    def to_bytes(self) -> bytes:
        """The camera's own bytes, or a PNG of its pixels, so that it can be judged again."""
        if self.pixels is None:
            return self.encoded or b""
        bgr = cv2.cvtColor(self.pixels, cv2.COLOR_RGB2BGR)
        _, encoded = cv2.imencode(".png", bgr, [cv2.IMWRITE_PNG_COMPRESSION, _FAST])
        return encoded.tobytes()


class Camera(Protocol):
    """A source of pictures. One thread opens it, grabs from it and closes it, again and again.

    Attributes:
        pause_s: the seconds between two grabs of a camera that gives a picture when it is asked. 0
            for one that sends them by itself.
        waits: whether pictures wait in the camera for as long as it takes, as files do.
        silence_s: without a picture for so long the camera is lost. None if silence is no sign.
    """

    pause_s: float
    waits: bool
    silence_s: float | None

    def open(self) -> None:
        """Connect.

        Raises:
            CameraError: it cannot be opened.
        """

    def grab(self, timeout_s: float) -> Frame | None:
        """The next picture, or None if none came in this time.

        Raises:
            CameraError: the camera is lost.
        """

    def close(self) -> None:
        """Disconnect. A camera that is not open is left alone."""


def media_type_of(content: bytes) -> str:
    """The media type of an image file.

    >>> media_type_of(b"BM...")
    'image/bmp'
    """
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "image/webp"
    known = (kind for magic, kind in _MAGICS if content.startswith(magic))
    return next(known, "application/octet-stream")
