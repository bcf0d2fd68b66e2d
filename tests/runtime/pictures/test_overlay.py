from dataclasses import replace

import numpy as np
import pytest

from edge_ad_runtime import Detector
from edge_ad_runtime.images import read_image
from edge_ad_runtime.images.preprocess import Preprocessing
from edge_ad_runtime.pictures.overlay import draw_overlay


def test_an_overlay_shows_where_the_defect_is(tiny):
    detector = Detector.load(tiny)
    image = read_image(tiny / "reference/0-stain.png")
    picture = draw_overlay(image, detector.predict(image), detector.manifest.preprocessing)
    assert picture.shape == (256 + 30, 2 * 320, 3)
    left, right = picture[30:, :320].astype(int), picture[30:, 320:].astype(int)
    assert np.array_equal(left, image)
    assert np.abs(right - left).max() > 50


def test_an_overlay_darkens_what_was_not_inspected(tiny):
    image = np.full((60, 120, 3), 90, np.uint8)
    prediction = Detector.load(tiny).predict(image)
    cut = Preprocessing(size=(64, 80), resize_px=80)
    right = draw_overlay(image, prediction, cut)[30:, 120:]
    assert (right[:, :10] == 30).all()


@pytest.mark.parametrize("verdict", ["good", "anomalous"])
def test_a_map_in_another_unit_is_painted_by_its_own_largest_value(tiny, verdict):
    detector = Detector.load(tiny)
    image = read_image(tiny / "reference/0-stain.png")
    other = replace(
        detector.predict(image), verdict=verdict, map_in_unit_of_score=False, regions=None
    )
    tiny_values = replace(other, map=other.map * 1e-6)
    preprocessing = detector.manifest.preprocessing
    picture = draw_overlay(image, other, preprocessing)
    left, right = picture[30:, :320].astype(int), picture[30:, 320:].astype(int)
    assert (np.abs(right - left).max() > 50) == (verdict == "anomalous")
    assert np.allclose(picture, draw_overlay(image, tiny_values, preprocessing), atol=1)


def test_the_deciding_patch_of_an_anomalous_image_is_marked_and_the_truth_outlined(tiny):
    with Detector.load(tiny) as detector:
        image = read_image(tiny / "reference/0-stain.png")
        prediction = detector.predict(image)
        preprocessing = detector.manifest.preprocessing
    assert prediction.verdict == "anomalous"
    assert prediction.deciding is not None
    top, left, height, width = prediction.deciding
    assert 0 <= top < top + height <= image.shape[0]
    assert 0 <= left < left + width <= image.shape[1]
    marked = draw_overlay(image, prediction, preprocessing)
    plain = draw_overlay(image, replace(prediction, deciding=None), preprocessing)
    rows, cols = np.nonzero((marked != plain).any(axis=2))
    assert 0 < len(rows) < 20 * (height + width)
    truth = np.zeros(image.shape[:2], bool)
    truth[10, 10] = True  # of one pixel, which must be seen too
    outlined = draw_overlay(image, prediction, preprocessing, truth=truth)
    assert (outlined[:, : image.shape[1]] != marked[:, : image.shape[1]]).any()


def test_the_deciding_patch_is_in_the_record_of_a_verdict(tiny):
    with Detector.load(tiny) as detector:
        record = detector.predict(tiny / "reference/0-stain.png").to_record("x.png")
    assert len(record["deciding"]) == 4
