"""Whatever an index misses, the largest patch distance is the exact search's."""

import numpy as np
import pytest

from edge_ad_runtime.search import Nearest, mean_distances, measured
from edge_ad_runtime.search.certify import certified
from edge_ad_runtime.search.exact import ExactSearch


def bad_index(exact, queries, k, rng, misses):
    """Bounds as of an index that returns random rows for a share of the queries."""
    rows = exact.nearest(queries, k).rows.copy()
    bank_rows = len(exact._bank)
    for i in np.flatnonzero(rng.random(len(queries)) < misses):
        rows[i] = rng.choice(bank_rows, k, replace=False)
    return measured(queries, exact._bank, rows)


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize("misses", [0.0, 0.05, 0.5, 1.0])
def test_the_largest_distance_and_its_neighbours_are_exact(seed, misses):
    rng = np.random.default_rng(seed)
    k, squared = int(rng.integers(1, 4)), bool(rng.integers(2))
    bank = rng.standard_normal((int(rng.integers(4, 300)), 6)).astype(np.float32)
    queries = rng.standard_normal((int(rng.integers(1, 200)), 6)).astype(np.float32)
    exact = ExactSearch(bank)
    true = exact.nearest(queries, k)
    found = certified(queries, bad_index(exact, queries, k, rng, misses), exact, squared=squared)
    expected = mean_distances(true.distances, squared=squared)
    distances = mean_distances(found.distances, squared=squared)
    farthest = distances.argmax()
    assert distances[farthest] == pytest.approx(expected.max(), rel=1e-6)
    assert found.rows[farthest].tolist() == true.rows[farthest].tolist()
    assert (distances >= expected - 1e-5).all()


def test_a_good_index_costs_one_batch():
    rng = np.random.default_rng(0)
    bank = rng.standard_normal((300, 6)).astype(np.float32)
    queries = rng.standard_normal((200, 6)).astype(np.float32)
    exact = ExactSearch(bank)
    found = certified(queries, exact.nearest(queries), exact, squared=False)
    assert found.scanned == 16


def test_equal_bounds_end_the_scan():
    bank = np.zeros((3, 2), np.float32)
    queries = np.ones((100, 2), np.float32)
    found = certified(queries, ExactSearch(bank).nearest(queries), ExactSearch(bank), squared=False)
    assert isinstance(found, Nearest)
    assert found.scanned == 16
