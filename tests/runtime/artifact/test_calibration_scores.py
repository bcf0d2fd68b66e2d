"""The ranks of good images' scores, and the thresholds that follow from them."""

import numpy as np
import pytest

from edge_ad_runtime.artifact.calibration_scores import (
    MOST_SCORES,
    CalibrationScores,
    images_needed,
    smallest_rate,
)


@pytest.mark.parametrize("images", [1, 2, 5, 39, 99, 301])
def test_the_images_that_a_rate_needs_support_it(images):
    assert images_needed(smallest_rate(images)) == images


@pytest.mark.parametrize("images", [1, 2, 39, MOST_SCORES, MOST_SCORES + 1, 7 * MOST_SCORES])
def test_the_smallest_and_the_largest_score_are_kept(images):
    scores = CalibrationScores.of(np.random.default_rng(0).permutation(images))
    assert (scores.kept[0], scores.kept[-1]) == (0, images - 1)
    assert len(scores.kept) == min(images, MOST_SCORES)
    assert [rank - 1 for rank in scores.ranks] == list(scores.kept)
    scores.check()


def test_what_is_said_of_thinned_scores_is_on_the_careful_side():
    images = 3 * MOST_SCORES
    scores = CalibrationScores.of(np.arange(images))
    for rate in (0.1, 0.01, 0.00321, smallest_rate(images)):
        rank = scores.rank_at_rate(rate)
        assert rate - 4 / images <= scores.rate_of(rank) <= rate
        assert scores.score_at(rank) == rank - 1
    for threshold in (-1.0, 0.0, 7.5, 1234.0, images - 1.0, images + 5.0):
        counted = int(np.clip(np.floor(threshold) + 1, 0, images))
        assert counted - 3 <= scores.rank_of(threshold) <= counted


@pytest.mark.parametrize("images", [1, 3, 39, 3 * MOST_SCORES])
def test_every_threshold_that_follows_is_accepted(images):
    scores = CalibrationScores.of(np.random.default_rng(1).gamma(3, size=images))
    for rate in np.linspace(smallest_rate(images), 0.99, 7):
        rank = scores.rank_at_rate(rate)
        scores.check_threshold(scores.score_at(rank), scores.rate_of(rank), learned=True)
    for threshold in (-1.0, *scores.kept[:3], 2.5, scores.kept[-1], 1e9):
        rate = scores.rate_of(scores.rank_of(threshold))
        scores.check_threshold(threshold, rate, learned=False)


def test_a_threshold_among_equal_scores_follows():
    scores = CalibrationScores.of([1.0, 2.0, 2.0, 2.0])
    for rank in (2, 3, 4):
        scores.check_threshold(2.0, scores.rate_of(rank), learned=True)
    with pytest.raises(ValueError, match="expected one of 2, .* found 1"):
        scores.check_threshold(1.0, scores.rate_of(3), learned=True)


@pytest.mark.parametrize(("threshold", "rank"), [(1.0, 0), (2.0, 1), (2.0, 2), (4.5, 4)])
def test_a_threshold_with_the_rate_of_another_is_refused(threshold, rank):
    scores = CalibrationScores.of([1.0, 2.0, 3.0, 4.0, 5.0])
    if scores.rank_of(threshold) == rank:
        scores.check_threshold(threshold, scores.rate_of(rank), learned=False)
        return
    with pytest.raises(ValueError, match="threshold: expected one from"):
        scores.check_threshold(threshold, scores.rate_of(rank), learned=False)
