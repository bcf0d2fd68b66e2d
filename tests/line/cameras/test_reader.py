"""A camera that is lost is seen, opened again for ever, and never repeats what it gave."""

import threading
import time

import numpy as np
import pytest

from edge_ad_line.cameras.camera import CameraError, Frame
from edge_ad_line.cameras.reader import CameraReader, Repeats, Silence, fingerprint


class FakeCamera:
    """Gives numbered frames while it is plugged in."""

    pause_s, waits = 0.0, False

    def __init__(self, silence_s=2.0):
        self.grab = self.take
        self.silence_s = silence_s
        self.plugged, self.silent = threading.Event(), False
        self.plugged.set()
        self.opened = self.closed = self.number = 0

    def open(self):
        if not self.plugged.is_set():
            raise CameraError("not plugged in")
        self.opened += 1

    def take(self, timeout_s):
        if not self.plugged.is_set():
            raise CameraError("unplugged")
        if self.silent:
            time.sleep(0.01)
            return None
        time.sleep(0.002)
        self.number += 1
        pixels = np.full((32, 32, 3), self.number % 251, np.uint8)
        return Frame(begun_s=time.monotonic(), pixels=pixels, source=str(self.number))

    def close(self):
        self.closed += 1


@pytest.fixture
def told():
    return []


def reader_of(camera, frames, told, **more):
    return CameraReader("top", camera, frames.append, told.append, **more)


def test_a_camera_that_was_unplugged_is_back_and_no_frame_is_given_twice(
    told, monkeypatch, wait_until
):
    monkeypatch.setattr("edge_ad_line.cameras.reader.backoff_s", lambda failures: 0.01)
    camera, frames = FakeCamera(), list[Frame]()
    reader = reader_of(camera, frames, told)
    reader.start()
    for cycle in range(20):
        wait_until(lambda: reader.state().is_up)
        count = len(frames)
        wait_until(lambda count=count: len(frames) > count)
        camera.plugged.clear()
        wait_until(lambda: not reader.state().is_up)
        assert reader.state().error == "unplugged" or "not plugged" in reader.state().error
        camera.plugged.set()
        wait_until(lambda cycle=cycle: camera.opened > cycle + 1)
    reader.stop()
    sources = [frame.source for frame in frames]
    assert len(set(sources)) == len(sources)
    assert camera.closed >= 20
    assert [state.is_up for state in told][:4] == [True, False, True, False]


def test_a_silent_camera_is_lost_within_two_seconds_and_opened_again(told, wait_until):
    camera, frames = FakeCamera(silence_s=0.2), list[Frame]()
    reader = reader_of(camera, frames, told)
    reader.start()
    wait_until(lambda: frames)
    camera.silent = True
    wait_until(lambda: not reader.state().is_up, timeout_s=2)
    wait_until(lambda: camera.opened > 1)
    reader.stop()


def test_a_read_that_hangs_is_a_silence_too(told, wait_until):
    camera, frames = FakeCamera(silence_s=0.1), list[Frame]()
    hang = threading.Event()
    grab = camera.grab
    camera.grab = lambda timeout_s: grab(timeout_s) if not frames else hang.wait(20)
    reader = reader_of(camera, frames, told)
    reader.start()
    wait_until(lambda: frames)
    wait_until(lambda: not reader.state().is_up, timeout_s=2)
    hang.set()
    reader.stop()


def test_a_drivers_own_error_is_a_loss_and_not_the_end(told, wait_until):
    camera, frames = FakeCamera(), list[Frame]()
    grab, failures = camera.grab, [RuntimeError("driver"), ZeroDivisionError()]

    def failing(timeout_s):
        if failures:
            raise failures.pop()
        return grab(timeout_s)

    camera.grab = failing
    reader = reader_of(camera, frames, told)
    reader.start()
    wait_until(lambda: frames)
    reader.stop()
    assert reader.state().reconnects == 2


def test_silence_waits_for_three_frames_of_a_slow_camera():
    silence = Silence(2.0)
    silence.opened(0.0)
    assert not silence.is_too_long(1.9)
    assert silence.is_too_long(2.1)
    for second in range(0, 100, 5):
        silence.heard(float(second))
    assert not silence.is_too_long(95 + 12)
    assert silence.is_too_long(95 + 16)
    assert not Silence(None).is_too_long(1e9)


def test_the_third_equal_picture_is_frozen_and_a_new_one_is_not():
    repeats = Repeats(3)
    noise = np.random.default_rng(0).integers(0, 255, (2, 64, 64, 3), np.uint8)
    equal, other = (Frame(begun_s=0, pixels=pixels) for pixels in noise)
    assert [repeats.is_frozen(equal) for _ in range(4)] == [False, False, True, True]
    assert not repeats.is_frozen(other)
    assert not any(Repeats(0).is_frozen(equal) for _ in range(9))


def test_files_are_told_apart_by_all_of_their_bytes():
    one, other = (Frame(begun_s=0, encoded=bytes(1000) + end) for end in (b"a", b"b"))
    assert fingerprint(one) != fingerprint(other)
