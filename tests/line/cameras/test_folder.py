"""Every file of a folder becomes one result, whatever happens in between."""

import os
import shutil

import pytest

from edge_ad_line.cameras import CameraError, make_camera
from edge_ad_line.config import FolderCamera


@pytest.fixture
def spool(tmp_path):
    folder = tmp_path / "spool"
    folder.mkdir()
    return folder


def camera_of(spool, has_result=lambda source: False, **more):
    config = FolderCamera(kind="folder", name="top", folder=str(spool), every_ms=5, **more)
    return make_camera(config, has_result)


def grab_all(camera):
    frames = []
    while (frame := camera.grab(0.05)) is not None:
        frames.append(frame)
    return frames


def test_each_file_is_given_once_with_its_own_bytes(spool):
    for name in "ab":
        (spool / f"{name}.png").write_bytes(name.encode())
    camera = camera_of(spool)
    camera.open()
    frames = grab_all(camera)
    assert [frame.encoded for frame in frames] == [b"a", b"b"]
    assert grab_all(camera) == []
    (spool / "a.png").write_bytes(b"another")
    (frame,) = grab_all(camera)
    assert frame.encoded == b"another"
    assert frame.source not in {before.source for before in frames}


def test_a_file_that_has_a_result_is_not_given_after_a_restart(spool):
    (spool / "a.png").write_bytes(b"a")
    camera = camera_of(spool)
    camera.open()
    (frame,) = grab_all(camera)
    again = camera_of(spool, {frame.source}.__contains__)
    again.open()
    assert grab_all(again) == []


def test_a_file_is_deleted_only_when_its_result_is_stored(spool):
    path = spool / "a.png"
    path.write_bytes(b"a")
    camera = camera_of(spool, delete=True)
    camera.open()
    (frame,) = grab_all(camera)
    assert path.exists()
    frame.stored()
    assert not path.exists()


def test_what_cannot_be_read_is_given_without_content(spool):
    os.mkfifo(spool / "fifo.png")
    (spool / "loop.png").symlink_to("loop.png")
    camera = camera_of(spool)
    camera.open()
    assert [frame.encoded for frame in grab_all(camera)] == [b"", b""]


def test_a_folder_that_goes_away_is_lost_and_what_comes_back_is_not_given_twice(spool, tmp_path):
    (spool / "a.png").write_bytes(b"a")
    camera = camera_of(spool)
    camera.open()
    assert len(grab_all(camera)) == 1
    spool.rename(tmp_path / "away")
    with pytest.raises(CameraError, match="cannot be watched"):
        camera.grab(0.1)
    with pytest.raises(CameraError, match="cannot be watched"):
        camera.open()
    (tmp_path / "away").rename(spool)
    camera.open()
    assert grab_all(camera) == []


def test_a_folder_that_is_not_there_yet_is_waited_for(spool):
    shutil.rmtree(spool)
    camera = camera_of(spool)
    with pytest.raises(CameraError, match="cannot be watched"):
        camera.open()
    spool.mkdir()
    (spool / "a.png").write_bytes(b"a")
    camera.open()
    assert len(grab_all(camera)) == 1
