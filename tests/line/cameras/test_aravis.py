"""A GigE camera is what the Aravis library says; its own fake camera stands in for one."""

import ctypes

import numpy as np
import pytest

from edge_ad_line.cameras import CameraError, aravis, make_camera
from edge_ad_line.config import AravisCamera

try:
    ctypes.CDLL("libaravis-0.8.so.0")
except OSError:
    pytest.skip("libaravis-0.8-0 is not installed", allow_module_level=True)


def camera_of(**more):
    config = AravisCamera(kind="aravis", name="top", **{"device": "Fake_1", **more})
    return make_camera(config, lambda source: False)


def test_a_camera_gives_pictures_each_time_it_is_opened():
    camera = camera_of()
    for _ in range(3):
        camera.open()
        frames = [camera.grab(2) for _ in range(4)]
        camera.close()
        assert all(frame.pixels.shape == (512, 512, 3) for frame in frames)
        assert all(frame.begun_s <= frame.came_s for frame in frames)
        assert len({frame.pixels.tobytes() for frame in frames}) == 4
    with pytest.raises(CameraError, match="connection to the camera is lost"):
        camera.grab(1)


def test_a_camera_that_is_not_there_is_an_error_with_its_name():
    with pytest.raises(CameraError, match="'Nobody' not found"):
        camera_of(device="Nobody").open()


def test_a_camera_whose_control_is_lost_is_lost_at_once():
    camera = camera_of()
    camera.open()
    device = aravis._library().arv_camera_get_device(camera._camera)
    library = ctypes.CDLL("libaravis-0.8.so.0")
    library.g_signal_emit_by_name(ctypes.c_void_p(device), b"control-lost")
    with pytest.raises(CameraError, match="connection to the camera is lost"):
        camera.grab(1)
    camera.close()


@pytest.mark.parametrize(
    ("kind", "first_rows"),
    [("BayerRG8", "RGGB"), ("BayerGR8", "GRBG"), ("BayerGB8", "GBRG"), ("BayerBG8", "BGGR")],
)
def test_a_red_scene_is_red_from_every_bayer_pattern(kind, first_rows):
    import cv2

    numbers = {"BayerGR8": 8, "BayerRG8": 9, "BayerGB8": 10, "BayerBG8": 11}
    code = aravis._TO_RGB[0x01080000 + numbers[kind]]
    mosaic = np.zeros((16, 16), np.uint8)
    row, col = divmod(first_rows.index("R"), 2)
    mosaic[row::2, col::2] = 200
    assert cv2.cvtColor(mosaic, code)[4:12, 4:12].mean((0, 1)).tolist() == [200, 0, 0]
