import numpy as np
import pytest

from edge_ad.images.same_part import parts_of, thumbnail
from edge_ad.recipes.generated_parts import KINDS
from edge_ad.synthetic.parts import draw_part

RNG = np.random.default_rng(0)
PLATES = [draw_part(RNG).image for _ in range(24)]


def shot(image, noise=4.0, exposure=0.03):
    """Another image of the same part, by the camera that has not moved."""
    again = image * RNG.uniform(1 - exposure, 1 + exposure)
    return np.clip(again + RNG.normal(0, noise, image.shape), 0, 255).astype(np.uint8)


def found(images):
    thumbnails = np.stack([thumbnail(image) for image in images])
    return parts_of(thumbnails, [str(i) for i in range(len(images))]).tolist()


def test_parts_that_differ_are_of_their_own():
    assert found(PLATES) == list(range(24))


@pytest.mark.parametrize("kind", ["printed", "cast", "woven", "populated", "round"])
def test_parts_of_one_kind_are_told_apart_and_shots_of_one_are_not(kind):
    images = [KINDS[kind](RNG, False) for _ in range(16)]
    assert found([*images, *map(shot, images[:4])]) == [*range(16), 0, 1, 2, 3]


def test_several_shots_of_each_part_are_found():
    burst = [shot(image) for image in PLATES[:8] for _ in range(3)]
    assert found(burst) == [3 * i for i in range(8) for _ in range(3)]


def test_files_that_are_equal_show_one_part_whatever_they_look_like():
    thumbnails = np.stack([thumbnail(image) for image in PLATES[:4]])
    assert parts_of(thumbnails, ["a", "b", "a", "b"]).tolist() == [0, 1, 0, 1]


def test_parts_that_hardly_differ_from_one_another_are_not_taken_for_one():
    """As of a smooth part in a fixture: all are equally alike, so nothing tells shots apart."""
    assert found([shot(PLATES[0]) for _ in range(24)]) == list(range(24))


def test_two_kinds_of_parts_are_not_two_parts():
    smooth = [np.full((64, 64, 3), level, np.uint8) for level in (60, 200)]
    smooth[1][:32] = 20
    assert found([shot(smooth[i % 2], noise=8) for i in range(24)]) == list(range(24))


def test_two_images_have_no_third_to_be_less_alike():
    assert found([PLATES[0], shot(PLATES[0])]) == [0, 1]
