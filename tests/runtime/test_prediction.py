import numpy as np

from edge_ad_runtime.decision.regions import find_regions
from edge_ad_runtime.images.preprocess import Preprocessing
from edge_ad_runtime.pictures.overlay import draw_overlay
from edge_ad_runtime.prediction import Prediction


def prediction(**values):
    told = {
        "score": 3.0,
        "threshold": 0.0,
        "verdict": "anomalous",
        "evidence": {},
        "timings_ms": {},
        "map_in_unit_of_score": True,
    }
    return Prediction(**{**told, "map": np.full((32, 40), 0.4, np.float32), **values})


def significance():
    found = np.full((32, 40), -7, np.float32)
    found[8:16, 10:20] = 3
    return found


def test_the_mask_is_of_the_significance_where_there_is_one_and_else_of_the_map():
    assert np.array_equal(prediction(significance=significance()).mask, significance() > 0)
    assert prediction(threshold=0.3).mask.all()
    assert not prediction(threshold=0.5).mask.any()
    assert prediction(map=None).mask is None


def test_there_is_no_mask_of_a_map_in_another_unit_than_the_threshold():
    assert prediction(threshold=0.3, map_in_unit_of_score=False).mask is None


def test_an_overlay_of_decades_shows_where_they_are_above_the_threshold():
    """With a threshold of 0 the map is not in units of it."""
    grey = np.full((64, 80, 3), 128, np.uint8)
    cut = Preprocessing(size=(32, 40))
    picture = draw_overlay(grey, prediction(significance=significance()), cut)[30:, 80:]
    assert np.abs(picture[24, 30].astype(int) - 128).max() > 30
    assert (picture[50:, 50:] == 128).all()


def test_an_overlay_has_a_box_around_each_region():
    grey = np.full((64, 80, 3), 128, np.uint8)
    cut = Preprocessing(size=(32, 40))
    regions = find_regions(significance(), 0.0, cut.placement(grey.shape[:2]))
    without = draw_overlay(grey, prediction(significance=significance()), cut)
    boxed = draw_overlay(grey, prediction(significance=significance(), regions=regions), cut)
    changed = np.argwhere((boxed != without).any(axis=2)) - (30, 80)
    top, left, height, width = regions[0].box
    assert changed.min(axis=0).tolist() == [top, left]
    assert changed.max(axis=0).tolist() == [top + height, left + width]
    assert (boxed[30 + top, 80 + left] == 255).all()
