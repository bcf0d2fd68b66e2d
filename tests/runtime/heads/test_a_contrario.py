import numpy as np
import pytest

from edge_ad_runtime.artifact.a_contrario_records import (
    AContrarioRecord,
    BlockTestRecord,
    ScaleRecord,
    TreeTestRecord,
)
from edge_ad_runtime.errors import EdgeADError
from edge_ad_runtime.heads import Opening, open_head
from edge_ad_runtime.heads.a_contrario import likelihood_map
from edge_ad_runtime.heads.in_memory import InMemory
from edge_ad_runtime.heads.stages import own_stages

SCALES = (ScaleRecord(grid=(8, 12), degrees=20.0), ScaleRecord(grid=(4, 6), degrees=30.0))
BY_SIZE = TreeTestRecord(counting="by-size")
WINDOWS = BlockTestRecord(window=5, quantile=0.9)


def head(test=BY_SIZE, price=0.0):
    record = AContrarioRecord(scales=SCALES, test=test, price=price)
    return open_head(record, InMemory({}), Opening(size=(64, 96)))


def outputs(*, planted):
    """Levels of noise, with or without a square of high ones on both scales."""
    rng = np.random.default_rng(0)
    found: dict[str, np.ndarray] = {}
    for i, scale in enumerate(SCALES):
        level = rng.chisquare(scale.degrees, scale.grid) / scale.degrees
        share = np.full(scale.grid, 0.1)
        if planted:
            rows, cols = (slice(s // 4, s // 2) for s in scale.grid)
            level[rows, cols], share[rows, cols] = 6, 0.9
        found |= {f"level_{i}": level.astype(np.float32)}
        found |= {f"exceeding_{i}": share.astype(np.float32)}
    return found


@pytest.mark.parametrize("test", [BY_SIZE, TreeTestRecord(counting="paper"), WINDOWS])
def test_a_planted_square_is_above_0_and_its_surroundings_are_not(test):
    judged = head(test).judge(outputs(planted=True), with_map=True)
    assert judged.score == judged.significance.max() > 0
    mask = judged.significance > 0
    assert mask[20:28, 30:42].mean() > 0.9
    assert not mask[:, 72:].any()
    assert not mask[48:].any()
    assert judged.map[24, 36] > 0.9 > judged.map[48:].max()  # not inverted either


@pytest.mark.parametrize("test", [BY_SIZE, TreeTestRecord(counting="paper"), WINDOWS])
def test_noise_is_below_0(test):
    assert head(test).judge(outputs(planted=False), with_map=False).score < 0


@pytest.mark.parametrize("test", [BY_SIZE, WINDOWS])
def test_its_stages_replayed_are_what_it_judges(test):
    a_contrario = head(test)
    before = outputs(planted=True)
    judged = a_contrario.judge(before, with_map=True)
    for stage in own_stages(a_contrario):
        before[stage.name] = a_contrario.replay(stage.name, before)
        assert before[stage.name].shape == a_contrario.shapes[stage.name].shape
    assert np.array_equal(before["significance"], judged.significance)
    assert np.array_equal(a_contrario.replay("map", before), judged.map)
    assert a_contrario.replay("score", before) == judged.score


@pytest.mark.parametrize("test", [BY_SIZE, WINDOWS])
def test_a_price_is_taken_from_every_significance(test):
    free = head(test).judge(outputs(planted=True), with_map=True)
    priced = head(test, price=1.5).judge(outputs(planted=True), with_map=True)
    assert priced.score == pytest.approx(free.score - 1.5)
    np.testing.assert_allclose(priced.significance, free.significance - 1.5, atol=1e-5)
    assert np.array_equal(priced.map, free.map)


def test_a_map_is_made_when_it_is_asked_for():
    judged = head().judge(outputs(planted=True), with_map=False)
    assert judged.map is judged.significance is None


def test_the_map_is_1_minus_the_mean_likelihood_of_the_scales():
    levels = [np.full((2, 2), value, np.float32) for value in (0, 2)]
    expected = 1 - (1 + np.exp(-1)) / 2
    assert np.allclose(likelihood_map(levels, (4, 4)), expected)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("name", ["level_0", "level_1"])
def test_levels_that_are_not_finite_are_never_good(name, value):
    broken = outputs(planted=False)
    broken[name][1, 2] = value
    with pytest.raises(EdgeADError, match="not finite"):
        head().judge(broken, with_map=False)


def test_a_window_that_fits_on_no_grid_is_refused():
    with pytest.raises(ValueError, match="does not fit on all of the grids"):
        AContrarioRecord(scales=SCALES, test=BlockTestRecord(window=9, quantile=0.9), price=0)
    with pytest.raises(ValueError, match="at least one"):
        AContrarioRecord(scales=(), test=BY_SIZE, price=0)
