import numpy as np
import pytest

from edge_ad_runtime.artifact.manifest import Scoring
from edge_ad_runtime.errors import ShapeError
from edge_ad_runtime.heads.patch_scoring import (
    anomaly_map,
    image_score,
    patch_distances,
    patch_score_map,
)
from edge_ad_runtime.search.exact import ExactSearch

BANK = np.array([[0, 0], [1, 0], [0, 2], [9, 9]], np.float32)
FEATURES = np.array([[0, 0], [4, 0], [1, 1]], np.float32)


def scoring(**settings):
    usual = {
        "neighbours": 1,
        "squared": False,
        "reweight_neighbours": 0,
        "blur_sigma_px": 4.0,
        "upsampling": "bilinear",
        "border": "reflect",
    }
    return Scoring(**{**usual, **settings})


def score(features, bank_neighbours, **settings):
    nearest = ExactSearch(BANK).nearest(features, settings.get("neighbours", 1))
    distances = patch_distances(nearest, scoring(**settings))
    return image_score(features, distances, nearest, BANK, bank_neighbours)


def test_without_neighbours_the_score_is_the_largest_patch_distance():
    assert score(FEATURES, None) == 3.0  # equation 6: (4,0) to (1,0)


def test_distances_may_be_squared_and_averaged_over_k_neighbours():
    assert score(FEATURES, None, squared=True) == 9.0
    assert score(FEATURES, None, neighbours=2) == 3.5  # (4,0) to (1,0) and (0,0)
    assert score(FEATURES, None, neighbours=2, squared=True) == 12.5


def test_with_neighbours_the_score_is_reweighted_as_in_equation_7():
    neighbours = np.array([[0, 1], [1, 0], [2, 0], [3, 2]], np.int32)
    expected = (1 - np.exp(3) / (np.exp(3) + np.exp(4))) * 3  # m* = (1,0), its neighbour (0,0)
    assert score(FEATURES, neighbours) == pytest.approx(expected, rel=1e-6)


def test_distances_in_the_thousands_do_not_overflow():
    far = FEATURES * 1e4
    neighbours = np.array([[0, 1], [1, 0], [2, 0], [3, 2]], np.int32)
    assert np.isfinite(score(far, neighbours))
    assert score(far, neighbours) > 0


def test_a_map_of_equal_distances_is_flat():
    heat = anomaly_map(np.full(12, 2.5, np.float32), (3, 4), (48, 64), scoring())
    assert heat.shape == (48, 64)
    assert np.allclose(heat, 2.5, atol=1e-5)


def test_the_hot_spot_is_where_the_hot_patch_is_on_a_non_square_grid():
    distances = np.zeros(12, np.float32)
    distances[1 * 4 + 3] = 1  # row 1, column 3
    heat = anomaly_map(distances, (3, 4), (48, 64), scoring(blur_sigma_px=2.0))
    row, col = np.unravel_index(heat.argmax(), heat.shape)
    assert 16 <= row < 32
    assert 48 <= col < 64


def test_nearest_upsampling_makes_blocks():
    distances = np.arange(12, dtype=np.float32)
    heat = anomaly_map(
        distances, (3, 4), (48, 64), scoring(upsampling="nearest", blur_sigma_px=0.1)
    )
    assert np.allclose(heat, np.kron(distances.reshape(3, 4), np.ones((16, 16))), atol=1e-3)


def test_distances_that_do_not_fill_the_grid_are_refused():
    with pytest.raises(ShapeError, match="do not fill a grid"):
        patch_score_map(np.zeros(11, np.float32), (3, 4))
