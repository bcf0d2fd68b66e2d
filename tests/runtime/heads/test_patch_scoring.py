import numpy as np
import pytest

from edge_ad_runtime.artifact.head_records import Scoring
from edge_ad_runtime.heads.patch_scoring import image_score, patch_distances
from edge_ad_runtime.search.exact import ExactSearch

BANK = np.array([[0, 0], [1, 0], [0, 2], [9, 9]], np.float32)
FEATURES = np.array([[0, 0], [4, 0], [1, 1]], np.float32)


def scoring(**settings):
    usual = {
        "neighbours": 1,
        "squared": False,
        "reweight_neighbours": None,
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
