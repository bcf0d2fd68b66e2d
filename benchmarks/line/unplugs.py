"""A camera that is unplugged again and again: seen, back, and no picture given twice."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import cv2
import numpy as np

from benchmarks.harness.process import memory_bytes
from edge_ad_line.cameras import Frame, make_camera
from edge_ad_line.cameras.reader import CameraReader
from edge_ad_line.config import StreamCamera

_BITS = 20
_TILE_PX = 16  # what a JPEG keeps


class StreamServer:
    """An MJPEG camera of numbered pictures that can be unplugged.

    Attributes:
        sent: how many pictures it has sent.
    """

    def __init__(self, rate: float) -> None:
        self.sent, self._rate, self.port = 0, rate, 0
        self._server: ThreadingHTTPServer | None = None
        self._is_plugged = threading.Event()
        self.plug()

    def plug(self) -> None:
        """Begin to send."""
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                kind = "multipart/x-mixed-replace; boundary=frame"
                self.send_header("Content-Type", kind)
                self.end_headers()
                while outer._is_plugged.is_set():
                    outer.sent += 1
                    content = picture(outer.sent)
                    head = b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n"
                    self.wfile.write(head % len(content) + content + b"\r\n")
                    time.sleep(1 / outer._rate)
                self.close_connection = True

            def log_message(self, *arguments: Any) -> None:
                """Say nothing."""

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request: Any, client_address: Any) -> None:
                """A client that has gone is what is tried."""

        self._is_plugged.set()
        self._server = Server(("127.0.0.1", self.port), Handler)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def unplug(self) -> None:
        """Send nothing more, and answer nobody."""
        self._is_plugged.clear()
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None


def picture(number: int) -> bytes:
    """A JPEG of a number, in tiles that are dark or bright."""
    bits = [(number >> i) & 1 for i in range(_BITS)]
    tiles = np.array(bits, np.uint8).reshape(4, 5) * 200 + 20
    image = np.kron(tiles, np.ones((_TILE_PX, _TILE_PX), np.uint8))
    return cv2.imencode(".jpg", image)[1].tobytes()


def number_of(frame: Frame) -> int:
    """The number on a picture."""
    centre = slice(_TILE_PX // 2, None, _TILE_PX)
    bits = (frame.image()[centre, centre, 0] > 120).ravel()
    return sum(int(bit) << i for i, bit in enumerate(bits))


def unplugs(*, cycles: int, rate: float) -> dict[str, Any]:
    """Unplug and plug in a camera.

    Returns:
        For each cycle ``seen_s`` until the loss was seen and ``back_s`` from plugging in to the
        next picture; ``frames`` that were given; ``memory_bytes`` taken; ``faults`` in words.
    """
    server, numbers = StreamServer(rate), list[int]()
    source = f"http://127.0.0.1:{server.port}/stream"
    camera = make_camera(StreamCamera(kind="stream", name="top", source=source), lambda s: False)
    reader = CameraReader(
        "top", camera, lambda frame: numbers.append(number_of(frame)), lambda state: None,
        frozen_after=3,
    )  # fmt: skip
    reader.start()
    _until(lambda: len(numbers) > 5)
    seen_s, back_s, before = list[float](), list[float](), 0
    for cycle in range(cycles):
        if cycle == min(10, cycles // 2):
            before = memory_bytes("VmRSS")  # what is made once is made
        asked = time.monotonic()
        server.unplug()
        _until(lambda: not reader.state().is_up)
        seen_s.append(time.monotonic() - asked)
        asked, count = time.monotonic(), len(numbers)
        server.plug()
        _until(lambda count=count: len(numbers) > count)  # type: ignore[misc]
        back_s.append(time.monotonic() - asked)
        _until(lambda count=count: len(numbers) > count + 5)  # type: ignore[misc]
    taken = memory_bytes("VmRSS") - before
    reader.stop()
    server.unplug()
    checks = {
        "a loss was seen after more than 2 s": max(seen_s) > 2,
        "the camera was back after more than 5 s": max(back_s) > 5,
        "a picture was given twice": len(set(numbers)) < len(numbers),
        "pictures are not in order": sorted(numbers) != numbers,
    }
    return {
        "cycles": cycles,
        "frames": len(numbers),
        "seen_s": [round(s, 3) for s in seen_s],
        "back_s": [round(s, 3) for s in back_s],
        "memory_bytes": taken,
        "faults": [what for what, found in checks.items() if found],
    }


def _until(is_true: Callable[[], bool], most_s: float = 30.0) -> None:
    until = time.monotonic() + most_s
    while not is_true():
        if time.monotonic() > until:
            raise TimeoutError("it did not happen within 30 s")
        time.sleep(0.005)
