"""Arrays are taken as files are: grey is repeated, BGR is turned, and what is no image is named."""

import numpy as np
import pytest

from edge_ad_runtime import Detector
from edge_ad_runtime.errors import ConfigError, ImageError
from edge_ad_runtime.images import read_image, write_png
from edge_ad_runtime.images.arrays import as_rgb


def test_grey_arrays_score_as_grey_files_do(tiny, tmp_path):
    grey = np.random.default_rng(0).integers(0, 256, (60, 90), np.uint8)
    write_png(tmp_path / "grey.png", np.repeat(grey[..., np.newaxis], 3, axis=2))
    with Detector.load(tiny) as detector:
        expected = detector.predict(tmp_path / "grey.png").score
        assert detector.predict(grey).score == expected
        assert detector.predict(grey[..., np.newaxis]).score == expected


def test_bgr_arrays_score_as_rgb_ones_do(tiny, good_image):
    image = read_image(good_image)
    bgr = image[..., ::-1]
    assert (image != bgr).any()
    with Detector.load(tiny) as detector:
        expected = detector.predict(image).score
        assert detector.predict(bgr, channels="bgr").score == expected
        (batched,) = detector.predict_batch([bgr], channels="bgr")
        (streamed,) = detector.stream([bgr], channels="bgr")
        assert batched.score == streamed.score == expected
        assert detector.predict(good_image, channels="bgr").score == expected  # a file is read


def test_none_is_told_where_it_comes_from(tiny):
    with Detector.load(tiny) as detector, pytest.raises(ImageError, match=r"cv2.imread gives None"):
        detector.predict(None)


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((4, 4)),
        np.zeros((0, 4), np.uint8),
        np.zeros(4, np.uint8),
    ],
)
def test_other_arrays_are_refused(array):
    with pytest.raises(ImageError, match=r"or \(H, W\) of grey, got"):
        as_rgb(array)


def test_an_unknown_order_of_colours_is_refused():
    with pytest.raises(ConfigError, match="channels is 'BGR'"):
        as_rgb(np.zeros((4, 4, 3), np.uint8), "BGR")


def test_a_stream_of_arrays_asks_for_the_next_after_the_last_was_given(tiny):
    asked = []

    def camera():
        for i in range(3):
            asked.append(i)
            yield np.full((40, 40, 3), i, np.uint8)

    with Detector.load(tiny) as detector:
        stream = detector.stream(camera())
        next(stream)
        assert asked == [0]
        assert len(list(stream)) == 2


def test_a_stream_keeps_the_order_of_files_and_arrays(tiny, good_image, tmp_path):
    image = read_image(good_image)
    mixed = [good_image, tmp_path / "none.png", image, good_image, image[:20]]
    with Detector.load(tiny) as detector:
        found = list(detector.stream(mixed))
        expected = detector.predict(image[:20]).score
    assert isinstance(found[1], ImageError)
    assert found[0].score == found[2].score == found[3].score
    assert found[4].score == expected
