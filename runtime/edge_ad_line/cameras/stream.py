"""A stream that OpenCV opens: MJPEG over HTTP, RTSP, or a V4L2 device.

OpenCV waits 30 s for a lost camera unless it is told otherwise when it opens it, and it keeps
frames that nobody reads, which are then old. So time-outs are given at opening, and the thread that
calls `grab` does nothing else. OpenCV gives BGR, always, and here is the one place that turns it.
"""

from __future__ import annotations

import os
import re
import time

import cv2
import numpy as np

from edge_ad_line.cameras.camera import CameraError, Frame
from edge_ad_line.config import StreamCamera

_FFMPEG_OPTIONS = "OPENCV_FFMPEG_CAPTURE_OPTIONS"
_FFMPEG_LOG, _QUIET = "OPENCV_FFMPEG_LOGLEVEL", "-8"
_V4L2_TIMEOUT = "OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT"


class Stream:
    """See `StreamCamera`."""

    pause_s = 0.0
    waits = False

    def __init__(self, config: StreamCamera) -> None:
        self._config = config
        self.silence_s: float | None = config.timeout_ms / 1000
        self._capture: cv2.VideoCapture | None = None
        self._before_s = 0.0

    def open(self) -> None:
        """See `Camera`."""
        self.close()
        source = self._config.source
        capture = (
            self._open_device(source) if source.startswith("/dev/") else self._open_address(source)
        )
        if not capture.isOpened():
            capture.release()
            raise CameraError(f"{source}: cannot be opened")
        self._capture, self._before_s = capture, time.monotonic()

    def grab(self, timeout_s: float) -> Frame | None:
        """The next picture. A stream that has ended, or is silent for too long, is lost."""
        if self._capture is None:
            raise CameraError(f"{self._config.source}: is not open")
        ok, bgr = self._capture.read()
        if not ok or bgr is None:
            raise CameraError(f"{self._config.source}: gives no picture any more")
        begun, self._before_s = self._before_s, time.monotonic()
        if bgr.ndim == 2:
            bgr = cv2.cvtColor(bgr, cv2.COLOR_GRAY2BGR)
        rgb = np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8)
        # its exposure may have begun any time after the one before has come
        return Frame(begun_s=begun, pixels=rgb)

    def close(self) -> None:
        """See `Camera`."""
        if self._capture is not None:
            self._capture.release()
            self._capture = None

    def _open_address(self, address: str) -> cv2.VideoCapture:
        # UDP loses packets, and a frame with a grey half is a picture of no part
        os.environ.setdefault(_FFMPEG_OPTIONS, "rtsp_transport;tcp")
        os.environ.setdefault(_FFMPEG_LOG, _QUIET)  # what it says of a loss is said here
        timeout_ms = self._config.timeout_ms
        settings = [
            *(cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, timeout_ms),
            *(cv2.CAP_PROP_READ_TIMEOUT_MSEC, timeout_ms),
        ]
        return cv2.VideoCapture(address, cv2.CAP_FFMPEG, settings)

    def _open_device(self, path: str) -> cv2.VideoCapture:
        # OpenCV takes a number alone, and a name under /dev/v4l/by-id stays when ports are changed
        match = re.fullmatch(r"/dev/video(\d+)", os.path.realpath(path))
        if match is None:
            raise CameraError(f"{path}: is no V4L2 device, such as /dev/video0")
        os.environ.setdefault(_V4L2_TIMEOUT, str(max(1, round(self._config.timeout_ms / 1000))))
        settings = [cv2.CAP_PROP_BUFFERSIZE, 1]
        if self._config.width is not None:
            settings += [cv2.CAP_PROP_FRAME_WIDTH, self._config.width]
        if self._config.height is not None:
            settings += [cv2.CAP_PROP_FRAME_HEIGHT, self._config.height]
        return cv2.VideoCapture(int(match[1]), cv2.CAP_V4L2, settings)
