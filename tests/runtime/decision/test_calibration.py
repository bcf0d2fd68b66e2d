"""What a device makes of the scores that an artifact carries."""

import math

import numpy as np
import pytest

from edge_ad_runtime.artifact.calibration_scores import CalibrationScores
from edge_ad_runtime.decision.beta import beta_quantile
from edge_ad_runtime.decision.calibration import (
    a_contrario,
    given,
    learned,
    moved_to_false_alarms,
    moved_to_rate,
    moved_to_threshold,
    promise,
    rate_table,
    scores_from,
    supported,
    why_no_rates,
)
from edge_ad_runtime.errors import ConfigError

SEAL = "0" * 64
SCORES = CalibrationScores.of(np.arange(1.0, 40.0))  # 39 images
SPLIT = learned(SCORES, 0.025, "split-conformal")
LEFT_OUT = learned(SCORES, 0.025, "leave-one-out")


def test_the_median_of_a_symmetric_beta_distribution_is_a_half():
    for a in (0.5, 1, 3, 1000):
        assert beta_quantile(0.5, a, a) == pytest.approx(0.5, rel=1e-12)


@pytest.mark.parametrize("share", [0.05, 0.5, 0.95])
@pytest.mark.parametrize("n", [1, 7, 1000, 10**6])
def test_quantiles_of_the_largest_and_the_smallest_of_n_are_powers(share, n):
    assert beta_quantile(share, n, 1) == pytest.approx(share ** (1 / n), rel=1e-10)
    assert beta_quantile(share, 1, n) == pytest.approx(-math.expm1(math.log1p(-share) / n))


@pytest.mark.parametrize("before", [SPLIT, LEFT_OUT], ids=["split", "leave-one-out"])
def test_a_rate_moves_the_threshold_to_what_the_fit_would_have_chosen(before):
    after = moved_to_rate(before, 0.1, SEAL)
    fitted = learned(SCORES, 0.1, before.method)
    assert (after.method, after.threshold) == (before.method, 36.0)
    assert (after.false_reject_rate, after.interval) == (0.1, fitted.interval)
    assert after.exported is not None
    assert (after.exported.sha256, after.exported.threshold) == (SEAL, 39.0)


def test_moving_there_and_back_gives_the_first_threshold_and_remembers_it():
    there = moved_to_rate(SPLIT, 0.2, SEAL)
    by_hand = moved_to_threshold(there, 12.3, "1" * 64)
    assert by_hand.false_reject_rate == 28 / 40
    assert by_hand.scores_from == "split-conformal"
    back = moved_to_rate(by_hand, 0.025, "2" * 64)
    assert (back.method, back.threshold) == (SPLIT.method, SPLIT.threshold)
    assert back.exported == there.exported == by_hand.exported
    assert back.scores_from is None


def test_false_alarms_move_a_threshold_of_decades_and_a_rate_does_too():
    decades = CalibrationScores.of([-3.0, -2.0, -1.5, 0.25])
    before = a_contrario(decades, 1.0)
    after = moved_to_false_alarms(before, 0.01, SEAL)
    assert (after.method, after.threshold, after.false_alarms) == ("a-contrario", 2.0, 0.01)
    by_rate = moved_to_rate(after, 0.4, SEAL)
    assert (by_rate.method, by_rate.threshold) == ("split-conformal", -1.5)
    again = moved_to_false_alarms(by_rate, 1.0, SEAL)
    assert (again.method, again.threshold) == ("a-contrario", 0.0)
    assert again.exported is not None
    assert again.exported.method == "a-contrario"


@pytest.mark.parametrize(
    ("rate", "message"),
    [
        (0.01, "needs 99 scores of good images; 39 scores support no rate below 2.5%"),
        (0.0, "must be above 0"),
        (1.0, "below 1"),
    ],
)
def test_a_rate_that_is_not_supported_is_refused(rate, message):
    with pytest.raises(ConfigError, match=message):
        moved_to_rate(SPLIT, rate, SEAL)


def test_the_smallest_rate_is_accepted_as_it_is_said():
    for images in range(1, 200):
        said = float(supported(images).split()[-1][:-1]) / 100
        scores = CalibrationScores.of(np.arange(images))
        before = learned(scores, None, "split-conformal")
        assert moved_to_rate(before, said, SEAL).threshold == images - 1


@pytest.mark.parametrize(
    ("calibration", "why"),
    [
        (given(CalibrationScores.of([]), 1.0, None), "carries no scores of good images"),
        (given(SCORES, 1.0, None), "does not say how its scores were taken"),
    ],
)
def test_without_scores_of_a_known_kind_no_rate_moves_the_threshold(calibration, why):
    assert why in why_no_rates(calibration)
    assert rate_table(calibration) == ()
    with pytest.raises(ConfigError, match=why):
        moved_to_rate(calibration, 0.5, SEAL)
    assert moved_to_threshold(calibration, 2.0, SEAL).threshold == 2.0


def test_the_table_has_the_usual_rates_and_the_smallest_supported():
    rows = rate_table(LEFT_OUT)
    assert [row.false_reject_rate for row in rows] == [0.1, 0.05, 0.025, 0.01, 0.005, 0.001]
    assert [row.threshold for row in rows] == [36.0, 38.0, 39.0, None, None, None]
    assert [row.images_needed for row in rows] == [9, 19, 39, 99, 199, 999]
    few = rate_table(learned(CalibrationScores.of([1.0, 2.0, 3.0]), None, "split-conformal"))
    assert (few[0].false_reject_rate, few[0].threshold) == (0.25, 3.0)


def test_what_the_scores_are_is_known_whatever_set_the_threshold():
    assert scores_from(SPLIT) == scores_from(a_contrario(SCORES, 0.1)) == "split-conformal"
    assert scores_from(LEFT_OUT) == scores_from(given(SCORES, 3.0, "leave-one-out"))


def test_what_a_rate_rests_on_is_said():
    assert promise(SPLIT).startswith("a theorem")
    assert "no theorem" in promise(LEFT_OUT)
    for known in (given(SCORES, 3.0, "leave-one-out"), a_contrario(SCORES, 0.1)):
        assert "threshold they have not set" in promise(known)
    assert promise(given(CalibrationScores.of([]), 3.0, None)) == ""
