import numpy as np
import pytest

from edge_ad_runtime.decision.regions import MOST_REGIONS, TABLE_SHAPE, as_table, find_regions
from edge_ad_runtime.decision.threshold import is_above
from edge_ad_runtime.images.preprocess import Preprocessing

SAME = Preprocessing(size=(32, 40)).placement((32, 40))


def test_regions_are_boxed_and_the_highest_peak_comes_first():
    values = np.zeros((32, 40), np.float32)
    values[2:5, 3:9] = 2
    values[20:22, 30:31] = 5
    values[21, 30] = 7
    first, second = find_regions(values, 1.0, SAME)
    assert (first.box, first.area_px, first.peak, first.peak_score) == (
        (20, 30, 2, 1),
        2,
        (21, 30),
        7,
    )
    assert (second.box, second.area_px, second.peak_score) == ((2, 3, 3, 6), 18, 2)


def test_what_touches_at_a_corner_hangs_together_and_the_threshold_itself_is_good():
    values = np.full((32, 40), 1, np.float32)
    assert find_regions(values, 1.0, SAME) == ()
    values[4, 4] = values[5, 5] = 2
    (region,) = find_regions(values, 1.0, SAME)
    assert (region.box, region.area_px) == ((4, 4, 2, 2), 2)


def test_regions_of_a_negative_threshold_are_found_too():
    values = np.full((32, 40), -9, np.float32)
    values[10, 12] = -3
    (region,) = find_regions(values, -5.0, SAME)
    assert region.peak == (10, 12)
    assert region.peak_score == -3


def test_a_box_inside_another_region_keeps_its_own_peak():
    values = np.zeros((32, 40), np.float32)
    values[0:9, 0:9] = 3
    values[2:7, 2:7] = 0
    values[4, 4] = 2
    outer, inner = find_regions(values, 1.0, SAME)
    assert (inner.box, inner.peak, inner.peak_score) == ((4, 4, 1, 1), (4, 4), 2)
    assert outer.box == (0, 0, 9, 9)


@pytest.mark.parametrize(
    ("preprocessing", "original"),
    [
        (Preprocessing(size=(32, 40)), (96, 80)),
        (Preprocessing(size=(32, 40), resize_px=50), (500, 400)),
        (Preprocessing(size=(32, 40), resize_px=50, keep_aspect=True), (333, 777)),
        (Preprocessing(size=(64, 64)), (31, 17)),
    ],
)
def test_a_region_is_where_it_is_on_the_image_as_it_was(preprocessing, original):
    """A painted square comes through preprocessing, is found, and is boxed where it was painted."""
    image = np.zeros((*original, 3), np.uint8)
    height, width = original[0] // 5, original[1] // 5
    top, left = original[0] * 2 // 5, original[1] * 2 // 5
    image[top : top + height, left : left + width] = 255
    seen = preprocessing.apply(image)[:, :, 0].astype(np.float32)
    placement = preprocessing.placement(original)
    (region,) = find_regions(seen, 100.0, placement)
    slack = 1 + max(placement.row_scale, placement.col_scale)
    expected = (top, left, top + height, left + width)
    found = (
        region.box[0],
        region.box[1],
        region.box[0] + region.box[2],
        region.box[1] + region.box[3],
    )
    assert np.abs(np.subtract(found, expected)).max() <= slack
    assert region.area_px == pytest.approx(height * width, rel=0.35)
    assert image[region.peak].all()


def test_a_box_stays_on_the_image_and_is_never_empty():
    placement = Preprocessing(size=(64, 64)).placement((5, 7))
    values = np.zeros((64, 64), np.float32)
    values[63, 63] = 1
    (region,) = find_regions(values, 0.5, placement)
    assert region.box == (4, 6, 1, 1)
    assert region.peak == (4, 6)
    assert region.area_px == 1


def test_a_pixel_is_above_the_threshold_as_the_score_is():
    """The float32 next to 0.1 is above 0.1. Compared in float32 it was not."""
    values = np.zeros((32, 40), np.float32)
    values[3, 4] = 0.1
    assert float(values.max()) > 0.1
    assert is_above(values, 0.1).sum() == 1
    assert len(find_regions(values, 0.1, SAME)) == 1


def test_of_equal_peaks_the_upper_and_then_the_left_one_comes_first():
    values = np.zeros((32, 40), np.float32)
    for at in ((20, 1), (2, 30), (2, 3)):
        values[at] = 1
    assert [r.peak for r in find_regions(values, 0.5, SAME)] == [(2, 3), (2, 30), (20, 1)]


def test_a_table_has_a_row_for_each_region_and_zeros_after_them():
    values = np.zeros((32, 40), np.float32)
    values[2:4, 3:9] = 2
    table = as_table(find_regions(values, 1.0, SAME))
    assert table.shape == TABLE_SHAPE
    assert table[0].tolist() == [2, 3, 2, 6, 12, 2, 3, 2]
    assert not table[1:].any()


def test_of_very_many_regions_the_highest_are_kept():
    values = np.zeros((32, 40), np.float32)
    values[::2, ::2] = 1 + np.arange(320).reshape(16, 20)
    found = find_regions(values, 0.5, SAME)
    assert len(found) == MOST_REGIONS
    assert [r.peak_score for r in found] == list(range(320, 320 - MOST_REGIONS, -1))
