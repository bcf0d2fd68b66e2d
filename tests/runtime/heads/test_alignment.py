import numpy as np
import pytest

from edge_ad_runtime.heads import alignment
from edge_ad_runtime.heads.alignment import nearest_anywhere, nearest_within
from edge_ad_runtime.heads.in_memory import SlicesInMemory

GRID, CHANNELS = (9, 13), 5  # not square
IMAGES = np.array([4, 0, 3])


@pytest.fixture
def good():
    rng = np.random.default_rng(0)
    return rng.standard_normal((6, *GRID, CHANNELS)).astype(np.float16)


@pytest.fixture
def features():
    return np.random.default_rng(1).standard_normal((*GRID, CHANNELS), dtype=np.float32)


def slow(features, good, kappa, window=None):
    """The kappa smallest squared distances of each position, one pair after the other."""
    rows, cols, _ = features.shape
    found = np.empty((kappa, rows, cols))
    for y in range(rows):
        for x in range(cols):
            distances = [
                ((features[y, x] - image[v, u].astype(np.float64)) ** 2).sum()
                for image in good[IMAGES]
                for v in range(rows)
                for u in range(cols)
                if window is None or max(abs(v - y), abs(u - x)) <= window
            ]
            nearest = sorted(distances)[:kappa]
            found[:, y, x] = nearest + [np.inf] * (kappa - len(nearest))
    return found.reshape(kappa, -1)


@pytest.mark.parametrize("kappa", [1, 2, 7])
@pytest.mark.parametrize("block", [16, 64, 1000])  # rows: some of an image, more than it has
def test_the_nearest_positions_of_all_images_are_found(features, good, kappa, block, monkeypatch):
    monkeypatch.setattr(alignment, "_FEWEST_ROWS", 1)
    monkeypatch.setattr(alignment, "_BLOCK_VALUES", block * GRID[0] * GRID[1])
    found = nearest_anywhere(features, SlicesInMemory(good), IMAGES, kappa)
    assert np.allclose(found, slow(features, good, kappa), rtol=1e-5)


@pytest.mark.parametrize("kappa", [1, 4])
@pytest.mark.parametrize("window", [0, 1, 3, 20])
def test_in_a_window_only_positions_around_are_compared(features, good, kappa, window):
    found = nearest_within(features, SlicesInMemory(good), IMAGES, kappa, window)
    expected = slow(features, good, kappa, window)
    assert np.allclose(np.sort(found, axis=0), expected, rtol=1e-5)
    if window == 0 and kappa == 4:  # three images have three positions
        assert np.isinf(expected[3]).all()


def test_more_neighbours_than_positions_are_infinitely_far(features, good):
    found = nearest_anywhere(features[:1, :1], SlicesInMemory(good[:, :1, :1]), IMAGES, 5)
    assert np.isfinite(found[:3]).all()
    assert np.isinf(found[3:]).all()


def test_an_image_that_is_compared_with_itself_is_not_different(good):
    own = good[3].astype(np.float32)
    assert nearest_anywhere(own, SlicesInMemory(good), IMAGES, 1).max() == 0
    assert nearest_within(own, SlicesInMemory(good), IMAGES, 1, 0).max() == 0


def test_distances_that_float32_products_cannot_hold_are_measured(good):
    """|q|^2 - 2 q.b + |b|^2 would be a rounding error of the squares, 0 or even less."""
    far = (good + np.float16(200)).astype(np.float16)
    features = far[3].astype(np.float32) + np.float32(0.01)
    found = nearest_anywhere(features, SlicesInMemory(far), IMAGES, 1)
    assert np.allclose(found, CHANNELS * 0.01**2, rtol=0.01)
