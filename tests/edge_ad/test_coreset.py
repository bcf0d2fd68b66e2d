import numpy as np
import pytest

from edge_ad.coreset import greedy_coreset
from edge_ad_runtime.errors import ConfigError, FitError

RNG = np.random.default_rng(0)


def test_each_pick_is_the_row_farthest_from_all_before():
    rows = RNG.standard_normal((300, 8))
    chosen = greedy_coreset(rows, 40, projection_dim=None)
    for i in range(1, 40):
        to_chosen = np.linalg.norm(rows[:, None] - rows[chosen[:i]], axis=2).min(axis=1)
        assert chosen[i] == to_chosen.argmax()


def test_every_row_can_be_taken_once_even_among_duplicates():
    rows = np.repeat(RNG.standard_normal((5, 4)), 6, axis=0).astype(np.float32)
    assert sorted(greedy_coreset(rows, 30)) == list(range(30))


def test_an_outlier_is_taken_at_once():
    rows = RNG.standard_normal((500, 16)).astype(np.float32)
    rows[123] += 50
    assert 123 in greedy_coreset(rows, 2)


def test_the_same_seed_gives_the_same_rows_and_another_seed_others():
    rows = RNG.standard_normal((400, 200)).astype(np.float32)
    first = greedy_coreset(rows, 30, seed=1)
    assert first.dtype == np.int64
    assert first.tolist() == greedy_coreset(rows, 30, seed=1).tolist()
    assert first.tolist() != greedy_coreset(rows, 30, seed=2).tolist()


@pytest.mark.parametrize("n_select", [0, 11, -1])
def test_more_rows_than_there_are_are_refused(n_select):
    with pytest.raises(ConfigError, match=r"it must be 1 to 10"):
        greedy_coreset(np.zeros((10, 3), np.float32), n_select)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_features_that_are_not_finite_are_refused(bad):
    rows = np.zeros((10, 3), np.float32)
    rows[4, 1] = bad
    with pytest.raises(FitError, match="NaN or infinite"):
        greedy_coreset(rows, 2)


@pytest.mark.parametrize("rows", [np.zeros(5, np.float32), np.zeros((5, 3), np.int64)])
def test_what_is_not_rows_of_floats_is_refused(rows):
    with pytest.raises(FitError, match="are needed"):
        greedy_coreset(rows, 1)
