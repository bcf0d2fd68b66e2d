import numpy as np
import pytest

from edge_ad.methods.uflow.null import describe_latents, highest_score, warn_of_variances
from edge_ad_runtime.errors import EdgeADWarning

CHANNELS, SIZE = (24, 30), (32, 32)


def levels(count=6, degrees=CHANNELS, seed=0):
    rng = np.random.default_rng(seed)
    grids = ((16, 16), (8, 8))
    pairs = zip(degrees, grids, strict=True)
    return [(rng.chisquare(d, (count, *grid)) / d).astype(np.float32) for d, grid in pairs]


def test_normal_latents_count_as_many_as_they_are():
    found = describe_latents(levels(), CHANNELS, SIZE, "by-size")
    assert found.degrees.tolist() == list(CHANNELS)
    assert found.means == pytest.approx([1, 1], abs=0.05)
    assert found.variances == pytest.approx([2 / 24, 2 / 30], rel=0.2)
    assert found.grids.tolist() == [[16, 16], [8, 8]]


def test_latents_that_depend_on_one_another_count_as_fewer_until_no_image_is_an_alarm():
    dependent = levels(degrees=(3, 3))
    assert highest_score(dependent, CHANNELS, SIZE, "by-size") > 0
    found = describe_latents(dependent, CHANNELS, SIZE, "by-size")
    share = found.degrees / CHANNELS
    assert share[0] == share[1] < 0.5
    assert highest_score(dependent, found.degrees.tolist(), SIZE, "by-size") <= 0
    assert highest_score(dependent, (1.02 * found.degrees).tolist(), SIZE, "by-size") > 0


def test_channels_are_counted_as_published_where_that_is_asked_for():
    found = describe_latents(levels(degrees=(3, 3)), CHANNELS, SIZE, None)
    assert found.degrees.tolist() == list(CHANNELS)


def test_latents_that_vary_far_more_than_normal_are_warned_of():
    warn_of_variances([np.array([0.9, 1.4]), np.array([1.0])])
    with pytest.warns(EdgeADWarning, match=r"scale 1 have a variance of 3.00 .* 2.00 to 4.00"):
        warn_of_variances([np.array([1.0]), np.array([2.0, 4.0])])
