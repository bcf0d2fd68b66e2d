"""Whatever an index misses, the largest patch distance is the exact search's."""

import numpy as np
import pytest

from edge_ad_runtime.search import mean_distances, measured
from edge_ad_runtime.search.certify import certified
from edge_ad_runtime.search.codes import Codes
from edge_ad_runtime.search.exact import ExactSearch


def bad_index(bank, queries, k, rng, misses):
    """Bounds as of an index that returns random rows for a share of the queries."""
    rows = ExactSearch(bank).nearest(queries, k).rows.copy()
    for i in np.flatnonzero(rng.random(len(queries)) < misses):
        rows[i] = rng.choice(len(bank), k, replace=False)
    return measured(queries, bank, rows)


def codes_of(bank, rng, dimension=2):
    axes, _ = np.linalg.qr(rng.standard_normal((bank.shape[1], dimension)))
    return Codes(np.vstack([bank.mean(axis=0), axes.T]).astype(np.float32), bank)


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize("misses", [0.0, 0.05, 0.5, 1.0])
def test_the_largest_distance_and_its_neighbours_are_exact(seed, misses):
    rng = np.random.default_rng(seed)
    k, squared = int(rng.integers(1, 4)), bool(rng.integers(2))
    bank = rng.standard_normal((int(rng.integers(4, 300)), 6)).astype(np.float32)
    queries = rng.standard_normal((int(rng.integers(1, 200)), 6)).astype(np.float32)
    true = ExactSearch(bank).nearest(queries, k)
    bounds = bad_index(bank, queries, k, rng, misses)
    found = certified(queries, bounds, ExactSearch(bank), codes_of(bank, rng), squared=squared)
    expected = mean_distances(true.distances, squared=squared)
    distances = mean_distances(found.distances, squared=squared)
    farthest = distances.argmax()
    assert distances[farthest] == pytest.approx(expected.max(), rel=1e-6)
    assert found.rows[farthest].tolist() == true.rows[farthest].tolist()
    assert (distances >= expected - 1e-5).all()
    assert distances[farthest] >= found.bound
    assert found.bound <= mean_distances(bounds.distances, squared=squared).max()


def test_a_good_index_costs_one_patch():
    rng = np.random.default_rng(0)
    bank = rng.standard_normal((300, 6)).astype(np.float32)
    queries = rng.standard_normal((200, 6)).astype(np.float32)
    true = ExactSearch(bank).nearest(queries)
    found = certified(queries, true, ExactSearch(bank), codes_of(bank, rng, 5), squared=False)
    assert found.scanned == 1
    assert found.bound == np.sort(true.distances[:, 0])[-2]


def test_equal_bounds_end_the_scan():
    bank = np.zeros((3, 2), np.float32)
    queries = np.ones((100, 2), np.float32)
    codes = codes_of(bank, np.random.default_rng(0))
    search = ExactSearch(bank)
    found = certified(queries, search.nearest(queries), search, codes, squared=False)
    assert found.scanned == 16  # the codes rule nothing out
    assert found.bound == found.distances.max()


def test_patches_far_from_everything_are_searched_together(monkeypatch):
    """A row that every code finds near enough must not be gathered with all the others."""
    rng = np.random.default_rng(0)
    bank = rng.standard_normal((2000, 6)).astype(np.float32)
    queries = rng.standard_normal((200, 6)).astype(np.float32) + 50
    search = ExactSearch(bank)
    bounds = bad_index(bank, queries, 1, rng, misses=1.0)
    asked, nearest = [], search.nearest

    def counting(queries, k):
        asked.append(len(queries))
        return nearest(queries, k)

    monkeypatch.setattr(search, "nearest", counting)
    found = certified(queries, bounds, search, codes_of(bank, rng), squared=False)
    assert asked[0] == 16
    assert found.scanned >= 16
    assert found.distances.max() == pytest.approx(nearest(queries).distances.max(), rel=1e-6)
