"""A camera that gives a picture for each HTTP request: the bytes of an image file."""

from __future__ import annotations

import http.client
import time
import urllib.error
import urllib.request

from edge_ad_line.cameras.camera import CameraError, Frame
from edge_ad_line.config import HttpCamera

_MOST_BYTES = 200_000_000
_BLOCK_BYTES = 1 << 16


class Http:
    """See `HttpCamera`. Each grab is one request, so that no picture is older than it."""

    waits = False
    silence_s: float | None = None

    def __init__(self, config: HttpCamera) -> None:
        self._config = config
        self.pause_s = config.every_ms / 1000

    def open(self) -> None:
        """Nothing is held between pictures."""

    def grab(self, timeout_s: float) -> Frame | None:
        """Ask for a picture. The camera's own time-out counts, not this one's."""
        begun = time.monotonic()
        try:
            return Frame(begun_s=begun, encoded=self._get(begun))
        except urllib.error.HTTPError as exc:
            with exc:
                raise CameraError(f"{self._config.url}: says {exc.code} {exc.reason}") from exc
        except (OSError, http.client.HTTPException) as exc:
            why = getattr(exc, "reason", None) or exc or type(exc).__name__
            raise CameraError(f"{self._config.url}: {why}") from exc

    def close(self) -> None:
        """Nothing is held."""

    def _get(self, begun_s: float) -> bytes:
        """The whole body. A camera that sends it byte by byte does not get more time."""
        timeout_s = self._config.timeout_ms / 1000
        blocks: list[bytes] = []
        with urllib.request.urlopen(self._config.url, timeout=timeout_s) as answer:
            while block := answer.read1(_BLOCK_BYTES):
                blocks.append(block)
                if time.monotonic() - begun_s > timeout_s:
                    raise TimeoutError(f"the picture takes more than {timeout_s:g} s")
                if sum(map(len, blocks)) > _MOST_BYTES:
                    raise OSError(f"the picture is larger than {_MOST_BYTES:,} bytes")
            if answer.length:  # what was announced and did not come
                raise OSError("the picture was cut short")
        return b"".join(blocks)
