import numpy as np
import pytest

from edge_ad_runtime.artifact.head_records import MapSettings
from edge_ad_runtime.errors import ShapeError
from edge_ad_runtime.heads.maps import anomaly_map, patch_score_map


def how(**settings):
    usual = {"blur_sigma_px": 4.0, "upsampling": "bilinear", "border": "reflect"}
    return MapSettings(**{**usual, **settings})


def test_a_map_of_equal_distances_is_flat():
    heat = anomaly_map(np.full(12, 2.5, np.float32), (3, 4), (48, 64), how())
    assert heat.shape == (48, 64)
    assert np.allclose(heat, 2.5, atol=1e-5)


def test_the_hot_spot_is_where_the_hot_patch_is_on_a_non_square_grid():
    distances = np.zeros(12, np.float32)
    distances[1 * 4 + 3] = 1  # row 1, column 3
    heat = anomaly_map(distances, (3, 4), (48, 64), how(blur_sigma_px=2.0))
    row, col = np.unravel_index(heat.argmax(), heat.shape)
    assert 16 <= row < 32
    assert 48 <= col < 64


def test_nearest_upsampling_makes_blocks():
    distances = np.arange(12, dtype=np.float32)
    heat = anomaly_map(distances, (3, 4), (48, 64), how(upsampling="nearest", blur_sigma_px=0.1))
    assert np.allclose(heat, np.kron(distances.reshape(3, 4), np.ones((16, 16))), atol=1e-3)


def test_distances_that_do_not_fill_the_grid_are_refused():
    with pytest.raises(ShapeError, match="do not fill a grid"):
        patch_score_map(np.zeros(11, np.float32), (3, 4))


def test_without_blur_the_enlarged_values_are_the_map():
    values = np.arange(12, dtype=np.float32)
    heat = anomaly_map(values, (3, 4), (48, 64), how(upsampling="nearest", blur_sigma_px=0.0))
    assert np.array_equal(heat, np.kron(values.reshape(3, 4), np.ones((16, 16))))
