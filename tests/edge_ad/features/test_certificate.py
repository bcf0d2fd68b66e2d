import numpy as np
import pytest

from edge_ad.features.certificate import certify, of_greed
from edge_ad.features.coreset import greedy_selection

RNG = np.random.default_rng(0)
ROWS = RNG.standard_normal((3000, 20)).astype(np.float32)


def radius(rows, centres):
    return np.linalg.norm(rows[:, None] - centres, axis=2).min(axis=1).max()


def test_greed_is_certified_to_be_within_twice_the_best():
    found = of_greed(greedy_selection(ROWS, 60), 20)
    assert found.ratio == 2
    assert found.dimensions == 20


def test_the_radius_of_any_rows_is_the_largest_distance_to_the_nearest():
    chosen = RNG.standard_normal((600, 20)).astype(np.float32)
    found = certify(ROWS, chosen)
    assert found.covering_radius == pytest.approx(radius(ROWS, chosen), rel=1e-4)


def test_rows_drawn_by_lot_cover_worse_than_greed_and_the_certificate_shows_it():
    chosen = ROWS[RNG.choice(3000, 60, replace=False)]
    assert certify(ROWS, chosen).ratio > 2
    greed = greedy_selection(ROWS, 60)
    again = certify(ROWS, ROWS[greed.rows])
    assert again.covering_radius == pytest.approx(greed.covering_radius, rel=1e-4)
    assert 2 <= again.ratio < 3  # its least radius is of a sample


def test_no_bank_of_as_many_rows_is_better_than_the_least_radius():
    line = np.arange(100, dtype=np.float32)[:, None]  # the best 10 centres leave a radius of 4.5
    for chosen in (line[::10], line[:10], line[[0, 3, 50, 60, 61, 70, 80, 81, 90, 99]]):
        assert certify(line, chosen).least_radius <= 4.5


def test_a_bank_of_all_rows_covers_itself():
    found = certify(ROWS, ROWS)
    assert found.covering_radius == pytest.approx(0, abs=1e-2)
