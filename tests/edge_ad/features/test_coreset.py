from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_ad.features import distances, greedy
from edge_ad.features.coreset import greedy_coreset
from edge_ad.features.plain_greedy import plain_greedy
from edge_ad_runtime.errors import ConfigError, FitError

RNG = np.random.default_rng(0)


@pytest.fixture(params=["usual", "tiny"], autouse=True)
def set_sizes(request, monkeypatch):
    """Every test runs again with sets so small that all the nesting is exercised."""
    if request.param == "tiny":
        monkeypatch.setattr(greedy, "_ACTIVE_ROWS", 16)
        monkeypatch.setattr(greedy, "_BLOCK_ROWS", 3)
        monkeypatch.setattr(greedy, "TILE_ROWS", 5)
        monkeypatch.setattr(distances, "_TILE", (5, 7))


def first_row(count: int, seed: int) -> int:
    return int(np.random.default_rng(seed).integers(count))


def radius(rows, chosen):
    rows = rows.astype(np.float64)
    nearest = [((rows - rows[c]) ** 2).sum(axis=1) for c in chosen]
    return np.sqrt(np.min(nearest, axis=0).max())


@st.composite
def row_sets(draw):
    """Gaussian clouds, clusters, lattices full of ties, copies, constant data, one outlier."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    count, width = draw(st.integers(1, 90)), draw(st.integers(1, 6))
    kind = draw(st.sampled_from(["cloud", "clusters", "lattice", "copies", "constant", "outlier"]))
    rows = rng.standard_normal((count, width))
    if kind == "clusters":
        rows = rows * 0.01 + rng.integers(0, 4, (count, 1)) * 10
    elif kind == "lattice":
        rows = rng.integers(0, 3, (count, width)).astype(float)
    elif kind == "copies":
        rows = rows[rng.integers(0, max(1, count // 4), count)]
    elif kind == "constant":
        rows = np.repeat(rows[:1], count, axis=0)
    elif kind == "outlier":
        rows[rng.integers(count)] += 1e4
    return rows, draw(st.integers(1, count))


@settings(max_examples=300)
@given(row_sets(), st.integers(0, 5))
def test_in_float64_the_order_is_the_plain_passes_exactly(case, seed):
    rows, n_select = case
    expected = plain_greedy(rows, n_select, first_row(len(rows), seed))
    assert greedy_coreset(rows, n_select, seed=seed).tolist() == expected.tolist()


@settings(max_examples=300)
@given(row_sets(), st.integers(0, 5))
def test_in_float32_the_radius_is_the_plain_passes_and_no_row_is_taken_twice(case, seed):
    rows, n_select = case
    rows = rows.astype(np.float32)
    found = greedy_coreset(rows, n_select, seed=seed)
    assert len(set(found.tolist())) == n_select
    expected = radius(rows, plain_greedy(rows, n_select, first_row(len(rows), seed)))
    assert radius(rows, found) == pytest.approx(expected, rel=1e-4)


def test_a_thousand_rows_of_both_kinds_agree_with_the_plain_pass():
    rows = RNG.standard_normal((4000, 20))
    expected = plain_greedy(rows, 1000, first_row(4000, 0))
    assert greedy_coreset(rows, 1000).tolist() == expected.tolist()
    single = rows.astype(np.float32)
    found = radius(single, greedy_coreset(single, 1000))
    assert found == pytest.approx(radius(rows, expected), rel=1e-4)


def test_an_outlier_is_taken_at_once():
    rows = RNG.standard_normal((500, 160)).astype(np.float32)
    rows[123] += 50
    assert greedy_coreset(rows, 2)[1] == 123


def test_the_same_seed_gives_the_same_rows_and_another_seed_others():
    rows = RNG.standard_normal((400, 200)).astype(np.float32)
    first = greedy_coreset(rows, 30, seed=1)
    assert first.dtype == np.int64
    assert first.tolist() == greedy_coreset(rows, 30, seed=1).tolist()
    assert first.tolist() != greedy_coreset(rows, 30, seed=2).tolist()


def test_a_projection_keeps_the_choice_nearly_as_good():
    rows = RNG.standard_normal((1000, 384)).astype(np.float32) * np.geomspace(1, 0.01, 384)
    rows = rows.astype(np.float32)
    projected = radius(rows, greedy_coreset(rows, 100, projection_dim=128))
    assert projected < 1.2 * radius(rows, greedy_coreset(rows, 100, projection_dim=None))


def test_memory_mapped_rows_give_the_same(tmp_path: Path):
    rows = RNG.standard_normal((300, 200)).astype(np.float32)
    np.save(tmp_path / "rows.npy", rows)
    mapped = np.load(tmp_path / "rows.npy", mmap_mode="r")
    assert greedy_coreset(mapped, 50).tolist() == greedy_coreset(rows, 50).tolist()


@pytest.mark.parametrize("n_select", [0, 11, -1])
def test_more_rows_than_there_are_are_refused(n_select):
    with pytest.raises(ConfigError, match=r"it must be 1 to 10"):
        greedy_coreset(np.zeros((10, 3), np.float32), n_select)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("width", [3, 300])
def test_features_that_are_not_finite_are_refused(bad, width):
    rows = np.zeros((10, width), np.float32)
    rows[4, 1] = bad
    with pytest.raises(FitError, match="NaN or infinite"):
        greedy_coreset(rows, 2)


@pytest.mark.parametrize("rows", [np.zeros(5, np.float32), np.zeros((5, 3), np.int64)])
def test_what_is_not_rows_of_floats_is_refused(rows):
    with pytest.raises(FitError, match="are needed"):
        greedy_coreset(rows, 1)
