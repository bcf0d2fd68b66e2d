import numpy as np
import pytest
from scipy.stats import beta

from edge_ad.fitting.calibrate import (
    a_contrario_threshold,
    given_threshold,
    learned_threshold,
)
from edge_ad_runtime.decision.beta import beta_quantile
from edge_ad_runtime.errors import ConfigError, FitError


def test_by_default_the_threshold_is_the_largest_score_and_the_rate_what_that_supports():
    calibration = learned_threshold(np.array([3.0, 1.0, 2.0]), None)
    assert calibration.threshold == 3.0
    assert calibration.false_reject_rate == 0.25
    assert calibration.requested_rate is None


@pytest.mark.parametrize("n", [1, 2, 19, 39, 99, 1000])
def test_the_smallest_supported_rate_is_accepted_as_printed(n):
    scores = np.arange(1.0, n + 1)
    assert learned_threshold(scores, 1 / (n + 1)).threshold == n


def test_a_rate_below_it_is_refused_and_the_smallest_named():
    with pytest.raises(ConfigError) as caught:
        learned_threshold(np.arange(38.0), 0.001)
    assert "needs 999 good images that set the threshold, there are 38" in str(caught.value)
    assert "0.02564" in str(caught.value)


@pytest.mark.parametrize(("n", "rate"), [(39, 0.05), (39, 0.1), (200, 0.01), (57, 0.2)])
def test_the_guarantee_holds_over_many_draws(n, rate):
    rng = np.random.default_rng(0)
    scores = rng.gamma(3, size=(4000, n + 1))  # the last is the new good part
    rejected = [s[n] > learned_threshold(s[:n], rate).threshold for s in scores]
    calibration = learned_threshold(scores[0, :n], rate)
    expected = calibration.false_reject_rate
    assert expected <= rate + 1e-12
    assert np.mean(rejected) == pytest.approx(expected, abs=4 * np.sqrt(expected / 4000))


def test_the_interval_covers_the_realised_rate_nine_times_in_ten():
    rng = np.random.default_rng(1)
    inside = 0
    for _ in range(2000):
        calibration = learned_threshold(rng.random(50), 0.1)
        low, high = calibration.interval
        inside += low <= 1 - calibration.threshold <= high  # uniform scores: the true rate
    assert inside / 2000 == pytest.approx(0.9, abs=0.03)


def test_the_interval_is_the_beta_distributions():
    low, high = learned_threshold(np.arange(99.0), 0.05).interval
    assert (low, high) == pytest.approx(tuple(beta.ppf([0.05, 0.95], 5, 95)))


@pytest.mark.parametrize("scores", [[], [1.0, np.nan], [np.inf]])
def test_scores_that_cannot_set_a_threshold_are_refused(scores):
    with pytest.raises(FitError):
        learned_threshold(np.array(scores), None)


def test_a_given_threshold_is_worth_what_the_left_out_scores_say():
    scores = np.arange(1.0, 20.0)
    learned = learned_threshold(scores, 0.1)
    given = given_threshold(scores, learned.threshold)
    assert given.method == "given"
    assert (given.false_reject_rate, given.interval) == (
        learned.false_reject_rate,
        learned.interval,
    )
    assert given_threshold(scores, 0.5).false_reject_rate == 1
    assert given_threshold(scores, 0.5).interval == (pytest.approx(0.05 ** (1 / 19)), 1)
    assert given_threshold(scores[:0], 0.5).interval == (0, 1)


@pytest.mark.parametrize(("false_alarms", "threshold"), [(1, 0), (0.01, 2), (100, -2)])
def test_an_a_contrario_threshold_is_that_of_its_false_alarms_whatever_images_score(
    false_alarms, threshold
):
    for scores in (np.array([]), np.array([-5.0, 3.0])):
        calibration = a_contrario_threshold(scores, false_alarms)
        assert calibration.method == "a-contrario"
        assert calibration.threshold == pytest.approx(threshold)
        assert calibration.false_alarms == false_alarms
        assert calibration.images == len(scores)


def test_what_held_out_images_make_of_an_a_contrario_threshold_stands_beside_it():
    scores = np.array([-3.0] * 18 + [0.5, 9.0])
    calibration = a_contrario_threshold(scores, 1)
    assert calibration.false_reject_rate == pytest.approx(3 / 21)
    low, high = calibration.interval
    assert low < 2 / 20 < high
    with pytest.raises(FitError, match="not finite"):
        a_contrario_threshold(np.array([np.nan]), 1)


@pytest.mark.parametrize("n", [1, 2, 39, 300, 20_000])
def test_the_quantiles_of_the_device_are_scipys(n):
    for k in sorted({1, 2, n // 2, n - 1, n} & set(range(1, n + 1))):
        for share in (0.05, 0.5, 0.95):
            expected = beta.ppf(share, n + 1 - k, k)
            assert beta_quantile(share, n + 1 - k, k) == pytest.approx(expected, rel=1e-9)
