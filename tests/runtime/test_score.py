import numpy as np
import pytest

from edge_ad_runtime.errors import ShapeError
from edge_ad_runtime.score import anomaly_map, image_score, patch_score_map
from edge_ad_runtime.search.exact import ExactSearch

BANK = np.array([[0, 0], [1, 0], [0, 2], [9, 9]], np.float32)
FEATURES = np.array([[0, 0], [4, 0], [1, 1]], np.float32)


def nearest():
    return ExactSearch(BANK).nearest(FEATURES)


def test_without_neighbours_the_score_is_the_largest_patch_distance():
    assert image_score(FEATURES, *nearest(), BANK, None) == 3.0  # equation 6: (4,0) to (1,0)


def test_with_neighbours_the_score_is_reweighted_as_in_equation_7():
    neighbours = np.array([[0, 1], [1, 0], [2, 0], [3, 2]], np.int32)
    expected = (1 - np.exp(3) / (np.exp(3) + np.exp(4))) * 3  # m* = (1,0), its neighbour (0,0)
    assert image_score(FEATURES, *nearest(), BANK, neighbours) == pytest.approx(expected, rel=1e-6)


def test_distances_in_the_thousands_do_not_overflow():
    far = FEATURES * 1e4
    neighbours = np.array([[0, 1], [1, 0], [2, 0], [3, 2]], np.int32)
    score = image_score(far, *ExactSearch(BANK).nearest(far), BANK, neighbours)
    assert np.isfinite(score)
    assert score > 0


def test_a_map_of_equal_distances_is_flat():
    heat = anomaly_map(np.full(12, 2.5, np.float32), (3, 4), (48, 64), 4.0)
    assert heat.shape == (48, 64)
    assert np.allclose(heat, 2.5, atol=1e-5)


def test_the_hot_spot_is_where_the_hot_patch_is_on_a_non_square_grid():
    distances = np.zeros(12, np.float32)
    distances[1 * 4 + 3] = 1  # row 1, column 3
    heat = anomaly_map(distances, (3, 4), (48, 64), 2.0)
    row, col = np.unravel_index(heat.argmax(), heat.shape)
    assert 16 <= row < 32
    assert 48 <= col < 64


def test_distances_that_do_not_fill_the_grid_are_refused():
    with pytest.raises(ShapeError, match="do not fill a grid"):
        patch_score_map(np.zeros(11, np.float32), (3, 4))
