import math
from typing import Any

import numpy as np
import pytest

from edge_ad_runtime.decision.a_contrario.blocks import (
    enlarged,
    log10_nfa_of_windows,
    log10_p_of_windows,
    log10_tails,
)
from edge_ad_runtime.decision.a_contrario.counting import log10_regions, log10_tests
from edge_ad_runtime.decision.a_contrario.nfa import significance_by_tree
from edge_ad_runtime.decision.a_contrario.tree import log10_nfa_of_regions

SHAPES = [((16, 16), 24), ((8, 8), 12)]
COUNTINGS = ["paper", "by-size"]


def noise(rng, shape, channels, std=1.0):
    """Levels of latents that are normal with this standard deviation."""
    return std**2 * rng.chisquare(channels, shape) / channels


def component(is_in, start):
    """The 4-connected component of the positions that are in, by a flood from one of them."""
    found, border = {start}, [start]
    while border:
        row, col = border.pop()
        for at in ((row - 1, col), (row + 1, col), (row, col - 1), (row, col + 1)):
            inside = 0 <= at[0] < is_in.shape[0] and 0 <= at[1] < is_in.shape[1]
            if inside and is_in[at] and at not in found:
                found.add(at)
                border.append(at)
    return frozenset(found)


def slow_nfa(levels, channels, tests, guarded=True):
    """The published rule on explicit sets of positions, with no union-find and nothing left out."""
    regions = {}  # the set of positions: its lowest level
    for level in np.unique(levels)[::-1]:
        for start in zip(*np.nonzero(levels == level), strict=True):
            regions[component(levels >= level, tuple(map(int, start)))] = float(level)

    def nfa(region):
        m = regions[region]
        decades = channels / 2 * (m - 1 - math.log(m)) / math.log(10)
        return tests[len(region) - 1] - len(region) * (0 if guarded and m <= 1 else decades)

    best: dict[frozenset[tuple[int, int]], Any] = {}
    whole, counts = {}, []
    by_size = sorted(regions, key=len)
    for region in by_size:
        within = [other for other in best if other < region]
        children = [c for c in within if not any(c < other for other in within)]
        own = nfa(region)
        whole[region] = True
        best[region] = (own, region)
        if len(children) == 1:
            whole[region] = whole[children[0]]
            if best[children[0]][0] <= own:
                best[region] = best[children[0]]
        elif children:
            whole[region] = all(whole[c] and own <= best[c][0] for c in children)
            if not whole[region]:
                counts += [best[c] for c in children if whole[c]]
    counts += [best[by_size[-1]]] if whole[by_size[-1]] else []
    found = np.full(levels.shape, tests[0])
    for value, region in counts:
        for position in region:
            found[position] = min(value, tests[0])
    return found


@pytest.mark.parametrize("counting", COUNTINGS)
@pytest.mark.parametrize("guarded", [True, False])
@pytest.mark.parametrize("digits", [6, 1], ids=["distinct levels", "many ties"])
@pytest.mark.parametrize("std", [0.8, 1.0, 1.6])
def test_the_tree_gives_what_the_published_rule_on_explicit_regions_gives(
    counting, guarded, digits, std
):
    rng = np.random.default_rng(digits)
    for _ in range(4):
        levels = noise(rng, (7, 9), 10, std).round(digits).clip(min=0.1)
        levels[2:5, 3:6] += 1.5
        (tests,) = log10_tests([levels.shape], counting)
        found = log10_nfa_of_regions(levels, 10, tests, guarded=guarded)
        np.testing.assert_allclose(found, slow_nfa(levels, 10, tests, guarded), atol=1e-9)


def test_levels_that_are_all_the_same_are_one_region():
    (tests,) = log10_tests([(4, 5)], "by-size")
    found = log10_nfa_of_regions(np.full((4, 5), 2.0), 30, tests)
    assert np.allclose(found, tests[19] - 20 * 15 * (1 - math.log(2)) / math.log(10))
    assert np.array_equal(
        log10_nfa_of_regions(np.ones((4, 5)), 30, tests), np.full((4, 5), tests[0])
    )


@pytest.mark.parametrize(
    ("grids", "log10_n"),
    [
        ([(1, 1)], 0.1097),
        ([(2, 2)], 2.1148),
        ([(8, 8)], 38.5892),
        ([(14, 14)], 118.9494),
        ([(16, 16)], 155.4772),
        ([(28, 28), (14, 14)], 476.9237),
        ([(32, 32), (16, 16), (8, 8)], 623.0359),
        ([(64, 64), (32, 32), (16, 16)], 2493.2720),
    ],
)
def test_the_number_of_tests_is_the_published_one(grids, log10_n):
    for tests in log10_tests(grids, "paper"):
        assert tests.min() == tests.max() == pytest.approx(log10_n, abs=5e-5)


def test_by_size_shares_one_false_alarm_among_all_sizes_and_scales():
    shares = 0.0
    for tests, n in zip(log10_tests([(6, 6), (3, 3)], "by-size"), (36, 9), strict=True):
        shares += (10 ** (log10_regions(n) - tests)).sum()
    assert shares == pytest.approx(1)


@pytest.mark.parametrize("counting", COUNTINGS)
def test_noise_raises_no_more_alarms_than_the_threshold_says(counting):
    """One region in an image would be allowed. Chernoff's bound is far from tight: fewer come."""
    rng = np.random.default_rng(0)
    images, alarms = 150, 0
    for _ in range(images):
        levels = [noise(rng, shape, c) for shape, c in SHAPES]
        found = significance_by_tree(levels, [c for _, c in SHAPES], (64, 64), counting)
        alarms += found.max() > 0
    assert alarms <= images * 0.05


@pytest.mark.parametrize("counting", COUNTINGS)
def test_latents_smaller_than_noise_are_no_alarm(counting):
    """A fixed bug of the published test, which flags such images all over."""
    rng = np.random.default_rng(1)
    levels = [noise(rng, (28, 28), 816, std=0.9)]
    assert significance_by_tree(levels, [816], (28, 28), counting).max() < 0
    unguarded = significance_by_tree(levels, [816], (28, 28), "paper", guarded=False)
    assert unguarded.min() > 0


@pytest.mark.parametrize("counting", COUNTINGS)
def test_a_planted_square_is_flagged_and_the_rest_is_not(counting):
    rng = np.random.default_rng(2)
    levels = [noise(rng, shape, c) for shape, c in SHAPES]
    levels[0][4:10, 4:10] = 4 + 0.1 * rng.random((6, 6))
    found = significance_by_tree(levels, [24, 12], (64, 64), counting) > 0
    assert found[18:38, 18:38].all()
    outside = found.copy()
    outside[14:42, 14:42] = False
    assert not outside.any()


def test_a_few_positions_are_seen_by_size_where_the_paper_is_blind():
    rng = np.random.default_rng(3)
    levels = [noise(rng, (64, 64), 84)]
    levels[0][30:33, 30:33] = noise(rng, (3, 3), 84, std=1.5)
    assert significance_by_tree(levels, [84], (64, 64), "by-size")[31, 31] > 0
    assert significance_by_tree(levels, [84], (64, 64), "paper").max() < 0


def test_tails_of_the_binomial_are_the_published_ones():
    for n, expected in {
        25: {0: -0.0324, 2: -0.3345, 5: -1.4763, 10: -4.9325, 20: -17.0721, 24: -25, 25: -25},
        9: {0: -0.2128, 1: -0.6475, 3: -2.0793, 5: -4.1922},
    }.items():
        tails = log10_tails(n, 0.9)
        assert {k: round(tails[k], 4) for k in expected} == pytest.approx(expected, abs=1e-4)


def test_a_window_full_of_exceeding_latents_has_a_value():
    """A fixed bug of the published test: minus infinity, and NaN all around it once enlarged."""
    exceeding = np.zeros((12, 12))
    exceeding[3:11, 3:11] = 1
    nfa = log10_nfa_of_windows([exceeding], (48, 48), 5, 0.9)
    assert np.isfinite(nfa).all()
    assert nfa[28, 28] < 0 < nfa[0, 47]


def test_windows_see_the_grid_mirrored_at_its_border():
    exceeding = np.arange(16.0).reshape(4, 4) / 16
    padded = np.pad(exceeding, 1, mode="reflect")
    k = [[padded[r : r + 3, c : c + 3].sum() for c in range(4)] for r in range(4)]
    expected = log10_tails(9, 0.5)[np.floor(k).astype(int)]
    assert np.array_equal(log10_p_of_windows(exceeding, 1, 0.5), expected)


def test_enlarging_keeps_corners_and_straight_slopes():
    slope = np.add.outer(np.arange(5.0), 2 * np.arange(7.0))
    large = enlarged(slope, (9, 13))
    assert large[[0, 0, -1, -1], [0, -1, 0, -1]].tolist() == [0, 12, 4, 16]
    assert np.allclose(large[::2, ::2], slope)
