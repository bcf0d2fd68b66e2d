import numpy as np
import pytest

from edge_ad_runtime.search.gallery import Gallery, nearest_of


@pytest.fixture
def features():
    return np.random.default_rng(0).standard_normal((300, 24), dtype=np.float32)


def slow(features, query, k, without=None):
    """The numbers of the k nearest rows, one distance after the other."""
    distances = [float(((row.astype(np.float64) - query) ** 2).sum()) for row in features]
    others = [i for i in range(len(features)) if i != without]
    return sorted(others, key=lambda i: (distances[i], i))[:k]


@pytest.mark.parametrize("k", [1, 7, 300])
def test_the_nearest_images_are_found_and_measured(features, k):
    query = np.random.default_rng(1).standard_normal(24, dtype=np.float32)
    found = Gallery(features).nearest(query, k)
    assert found.rows.tolist() == slow(features, query, k)
    every = Gallery(features).sq_distances(query)
    assert every.dtype == np.float64
    assert np.array_equal(found.sq_distances, every[found.rows])
    assert np.array_equal(found.rows, nearest_of(every, k))


def test_of_equally_near_images_the_first_are_taken(features):
    features[[40, 7, 200, 90]] = features[150]
    found = Gallery(features).nearest(features[150], 3)
    assert found.rows.tolist() == [7, 40, 90]
    assert found.sq_distances.tolist() == [0, 0, 0]


def test_images_that_float32_cannot_tell_apart_are_told_apart():
    """Their products with a query far away are the same numbers of float32."""
    features = np.full((64, 8), 1000, np.float32)
    features[:, 0] += np.linspace(0.5, 0.1, 64, dtype=np.float32)
    query = np.full(8, 1000, np.float32)
    assert Gallery(features).nearest(query, 5).rows.tolist() == slow(features, query, 5)


def test_an_image_is_not_compared_with_itself(features):
    found = Gallery(features).nearest(features[5], 4, without=5)
    assert 5 not in found.rows
    assert found.rows.tolist() == slow(features, features[5], 4, without=5)
    assert found.sq_distances.min() > 0


def test_a_copy_of_an_image_is_another_image(features):
    features[9] = features[5]
    assert Gallery(features).nearest(features[5], 2, without=5).rows[0] == 9
