import numpy as np
import pytest

from edge_ad_runtime.errors import ConfigError, ImageError
from edge_ad_runtime.images.preprocess import Preprocessing

IMAGE = np.random.default_rng(0).integers(0, 256, (60, 100, 3), dtype=np.uint8)


def test_stretching_keeps_the_whole_image_and_averages_areas():
    found = Preprocessing(size=(32, 50)).apply(np.repeat(IMAGE[:32], 1, axis=0)[:, :100])
    expected = IMAGE[:32].reshape(32, 50, 2, 3).mean(axis=2)
    assert np.abs(found - expected).max() <= 0.5


def test_the_cut_comes_from_the_centre_of_a_non_square_image():
    found = Preprocessing(size=(40, 44), resize_px=60, keep_aspect=True).apply(IMAGE)
    assert np.array_equal(found, IMAGE[10:50, 28:72])


def test_without_keeping_the_aspect_as_much_is_cut_from_every_side():
    found = Preprocessing(size=(40, 80), resize_px=50).apply(IMAGE)
    whole = Preprocessing(size=(50, 100)).apply(IMAGE)
    assert np.array_equal(found, whole[5:45, 10:90])


def test_an_image_of_the_right_size_is_unchanged():
    assert np.array_equal(Preprocessing(size=(60, 100)).apply(IMAGE), IMAGE)


def test_a_mask_goes_where_its_image_goes():
    mask = np.zeros((60, 100), bool)
    mask[20:30, 30:50] = True
    image = np.repeat(mask[..., None] * np.uint8(255), 3, axis=2)
    for preprocessing in (
        Preprocessing(size=(40, 44), resize_px=60, keep_aspect=True),
        Preprocessing(size=(40, 44), resize_px=60),
        Preprocessing(size=(120, 200)),
        Preprocessing(size=(64, 80), resize_px=90),
    ):
        bright = preprocessing.apply(image)[..., 0] > 127
        found = preprocessing.apply_to_mask(mask)
        assert found.shape == preprocessing.size
        assert (found != bright).mean() < 0.02


@pytest.mark.parametrize(
    "bad",
    [
        IMAGE[..., 0],
        IMAGE.astype(np.float32),
        np.concatenate([IMAGE, IMAGE[..., :1]], axis=2),
        IMAGE[:0],
        IMAGE[np.newaxis],
        "a string",
    ],
)
def test_arrays_that_are_not_rgb_uint8_are_refused(bad):
    with pytest.raises(ImageError, match="expected an"):
        Preprocessing(size=(32, 32)).apply(bad)


def test_an_image_too_narrow_to_scale_is_refused():
    with pytest.raises(ImageError, match="too narrow"):
        Preprocessing(size=(32, 32), resize_px=256, keep_aspect=True).apply(
            np.zeros((2, 5000, 3), np.uint8)
        )


@pytest.mark.parametrize("settings", [{"size": (8, 224)}, {"size": (224, 224), "resize_px": 200}])
def test_impossible_settings_are_refused(settings):
    with pytest.raises(ConfigError, match=r"size is|resize_px is"):
        Preprocessing(**settings)
