"""Pictures over HTTP: whole or not at all, in the right colours, again after a loss."""

import time

import cv2
import numpy as np
import pytest

from edge_ad_line.cameras import CameraError, make_camera
from edge_ad_line.config import HttpCamera, StreamCamera

RED = np.zeros((48, 64, 3), np.uint8)
RED[..., 0] = 200
RED[:24, :, 1] = np.arange(64)


def jpeg(rgb):
    return cv2.imencode(".jpg", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))[1].tobytes()


def http_camera(server, **more):
    config = HttpCamera(kind="http", name="top", url=server.url, timeout_ms=300, **more)
    return make_camera(config, lambda source: False)


def test_a_snapshot_is_the_cameras_own_bytes_and_not_older_than_the_request(server):
    server.answer = lambda request: (200, "image/jpeg", jpeg(RED))
    asked = time.monotonic()
    frame = http_camera(server).grab(1)
    assert frame.encoded == jpeg(RED)
    assert asked <= frame.begun_s <= frame.came_s
    assert np.abs(frame.image().astype(int) - RED)[..., 0].max() < 20


def test_a_camera_that_does_not_answer_is_lost_and_then_back(server):
    camera = http_camera(server)
    server.stop()
    with pytest.raises(CameraError, match="refused"):
        camera.grab(1)
    server.start()
    server.answer = lambda request: (200, "image/jpeg", b"\xff\xd8\xff")
    assert camera.grab(1).encoded == b"\xff\xd8\xff"


def test_an_error_page_is_no_picture(server):
    server.answer = lambda request: (503, "text/html", b"<html>")
    with pytest.raises(CameraError, match="says 503"):
        http_camera(server).grab(1)


def test_a_picture_that_is_cut_short_or_comes_too_slowly_is_none(server):
    def short(request):
        request.send_response(200)
        request.send_header("Content-Length", "1000")
        request.end_headers()
        request.wfile.write(b"abc")

    def slow(request):
        request.send_response(200)
        request.end_headers()
        for _ in range(100):
            request.wfile.write(b"a")
            time.sleep(0.05)

    server.answer = short
    with pytest.raises(CameraError, match="short"):
        http_camera(server).grab(1)
    server.answer = slow
    begun = time.monotonic()
    with pytest.raises(CameraError, match=r"more than 0\.3 s"):
        http_camera(server).grab(1)
    assert time.monotonic() - begun < 2


def mjpeg(frames, count):
    def answer(request):
        request.send_response(200)
        request.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        request.end_headers()
        for i in range(count):
            content = jpeg(frames(i))
            head = b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n"
            request.wfile.write(head % len(content) + content + b"\r\n")
            time.sleep(0.01)
        request.close_connection = True

    return answer


def test_a_stream_has_the_right_colours_also_after_it_was_lost(server):
    """A peer's frames had red and blue swapped after a reconnect."""
    server.answer = mjpeg(lambda i: RED, 20)
    config = StreamCamera(kind="stream", name="top", source=server.url + "/s", timeout_ms=1000)
    camera = make_camera(config, lambda source: False)
    for _ in range(2):
        camera.open()
        frame = camera.grab(1)
        assert frame is not None
        assert frame.pixels is not None
        assert frame.pixels.shape == RED.shape
        assert frame.pixels[..., 0].mean() > 150 > 60 > frame.pixels[..., 2].mean()
        with pytest.raises(CameraError, match="no picture any more"):
            for _ in range(100):
                camera.grab(1)
        camera.close()


def test_a_stream_that_nobody_sends_cannot_be_opened(server):
    url = server.url
    server.stop()
    camera = make_camera(StreamCamera(kind="stream", name="top", source=url), lambda source: False)
    begun = time.monotonic()
    with pytest.raises(CameraError, match="cannot be opened"):
        camera.open()
    assert time.monotonic() - begun < 5
