"""Advice is given where it is due, with the option that answers it, and nowhere else."""

import cv2
import numpy as np
import pytest

from edge_ad.fitting.advice import advise
from edge_ad.images.facts import ImageFacts, long_axis, look_at
from edge_ad.methods.padim.settings import PadimConfig
from edge_ad.methods.patchcore.settings import PatchCoreConfig
from edge_ad_runtime.images import write_png

CONFIG = PatchCoreConfig()


def facts(**changes) -> ImageFacts:
    usual = {
        "images": 100,
        "looked_at": 32,
        "shapes": {(240, 240): 32},
        "brightness": (100.0, 110.0),
        "directions": 0.0,
        "alignment": 1.0,
    }
    return ImageFacts(**{**usual, **changes})


def test_images_that_need_no_advice_get_none():
    assert advise(facts(), CONFIG) == ()


def test_shrinking_is_told_in_the_users_pixels_with_a_larger_size():
    (line,) = advise(facts(shapes={(640, 640): 32}), CONFIG)
    assert "640 x 640 is shrunk to 224 x 224: one pixel is 2.9 of yours" in line
    assert "details under 9 pixels are lost" in line
    assert "--size 448" in line


def test_a_larger_size_keeps_the_images_proportions():
    lines = advise(facts(shapes={(3000, 4000): 32}), CONFIG)
    assert "--size 384x512" in lines[0]
    assert "--size 192x256 keeps its proportions" in lines[1]


def test_what_a_centre_cut_scales_is_what_is_told():
    cut = PatchCoreConfig(resize_px=256, keep_aspect=True)
    (line,) = advise(facts(shapes={(1024, 2048): 32}), cut)
    assert "one pixel is 4.0 of yours" in line


def test_mixed_proportions_are_told_with_what_scales_alike():
    (line,) = advise(facts(shapes={(240, 240): 20, (200, 300): 12}), CONFIG)
    assert "20 of 240 x 240" in line
    assert "--resize 224 --keep-aspect" in line


def test_parts_in_all_directions_are_told():
    turned = facts(directions=1.0, alignment=0.1)
    assert "--coreset-fraction 0.2" in advise(turned, CONFIG)[0]
    assert "--method patchcore does not" in advise(turned, PadimConfig())[0]
    assert advise(facts(directions=1.0, alignment=0.95), CONFIG) == ()


def test_varying_brightness_and_few_images_are_told():
    bright, few = advise(facts(brightness=(60.0, 120.0), images=12), CONFIG)
    assert "brightness varies from 60 to 120" in bright
    assert "12 good images are few, 50 or more are wise" in few


def drawn(angle: float) -> np.ndarray:
    image = np.full((200, 260, 3), 200, np.uint8)
    along = 70 * np.array([np.cos(angle), np.sin(angle)])
    ends = [tuple(int(v) for v in np.array([130, 100]) + sign * along) for sign in (-1, 1)]
    return cv2.line(image, ends[0], ends[1], (40, 40, 40), 14)


@pytest.mark.parametrize("angle", [0.0, 0.7, 1.5, 2.6])
def test_the_long_axis_of_a_part_is_found(angle):
    found = long_axis(drawn(angle))
    assert abs(np.sin(found - angle)) < 0.05


def test_a_texture_and_a_round_part_have_no_long_axis():
    texture = np.random.default_rng(0).integers(0, 256, (200, 200, 3), np.uint8)
    assert long_axis(texture) is None
    disc = cv2.circle(np.full((200, 200, 3), 200, np.uint8), (100, 100), 60, (40, 40, 40), -1)
    assert long_axis(disc) is None


def test_facts_are_read_from_the_files(tmp_path):
    for i in range(10):
        write_png(tmp_path / f"{i}.png", drawn(i * np.pi / 10))
    found = look_at(sorted(tmp_path.iterdir()))
    assert found.usual_shape == (200, 260)
    assert found.directions == 1.0
    assert found.alignment < 0.2
