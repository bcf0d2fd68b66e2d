"""A picture that cannot be judged is told from a part that is defective."""

import numpy as np
import pytest

from benchmarks.line.health import SPOILT, health
from edge_ad.synthetic.parts import draw_part
from edge_ad_line.camera_health import fault_of, limits_of, look_at


@pytest.fixture(scope="module")
def parts():
    return [draw_part(rng).image for rng in np.random.default_rng(7).spawn(6)]


@pytest.fixture(scope="module")
def limits(parts):
    return limits_of([look_at(image) for image in parts[:3]])


def test_good_and_defective_parts_pass_and_spoilt_pictures_do_not():
    found = health(count=60)
    faults = [fault for fault in found["faults"] if "takes more than" not in fault]
    assert faults == []
    assert found["good"] == {"none": 60}


@pytest.mark.parametrize("kind", SPOILT)
def test_a_spoilt_picture_is_told_what_is_wrong_in_words(parts, limits, kind):
    found = fault_of(look_at(SPOILT[kind](parts[5])), limits)
    assert found is not None
    assert found[0] == kind
    assert "; check " in found[1]


def test_any_size_can_be_looked_at(limits):
    for shape in ((1, 1, 3), (1, 500, 3), (500, 1, 3), (2, 2, 3), (63, 65, 3), (3000, 4, 3)):
        found = fault_of(look_at(np.zeros(shape, np.uint8)), limits)
        assert found is not None
        assert found[0] == "dark"


def test_without_good_images_nothing_is_known_and_everything_passes(parts):
    assert fault_of(look_at(parts[0] // 4), limits_of([])) is None


def test_places_are_not_checked_where_good_images_do_not_lie_alike(parts):
    noise = np.random.default_rng(0).integers(0, 255, (3, 256, 320, 3), np.uint8)
    assert limits_of([look_at(image) for image in noise]).most_moved is None
    assert limits_of([look_at(parts[0])]).most_moved is None
