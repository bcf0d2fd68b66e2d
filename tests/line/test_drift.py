import json

import numpy as np
import pytest

from edge_ad_line.drift import ALARM_LOG10, ALARM_PARTS, Drift


def good(rng, count):
    return rng.gamma(9, 1 / 9, count)


def started(seed, count=40):
    return Drift.from_calibration(good(np.random.default_rng([1, seed]), count), seed=seed)


def fed(drift, scores):
    return [drift.update(score) for score in scores]


@pytest.mark.parametrize("seed", range(3))
def test_good_parts_make_no_alarm(seed):
    assert max(fed(started(seed), good(np.random.default_rng(seed), 5000))) < ALARM_LOG10


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("seed", range(3))
def test_a_shift_of_half_a_standard_deviation_is_found(seed, sign):
    rng, drift = np.random.default_rng(seed), started(seed)
    fed(drift, good(rng, 2000))
    assert not drift.is_alarm
    fed(drift, good(rng, 450) + sign * 0.5 / 3)
    assert drift.is_alarm


def test_scores_that_spread_are_found():
    rng, drift = np.random.default_rng(0), started(0)
    fed(drift, good(rng, 1000))
    fed(drift, 1 + 2 * (good(rng, 300) - 1))
    assert drift.is_alarm


def test_two_percent_of_defects_make_no_alarm():
    rng = np.random.default_rng(0)
    scores = good(rng, 5000)
    scores[rng.random(5000) < 0.02] += 5
    assert max(fed(started(0), scores)) < ALARM_LOG10


@pytest.mark.parametrize("before", [100, 500, 3000])
def test_an_alarm_ends_when_parts_are_as_they_were(before):
    rng, drift = np.random.default_rng(0), started(0)
    fed(drift, good(rng, before))
    fed(drift, good(rng, 200) + 0.5)
    assert drift.is_alarm
    fed(drift, good(rng, ALARM_PARTS + 20))  # the last bets on the drift may still win
    assert not drift.is_alarm


def test_a_drift_that_stays_is_not_taken_for_usual():
    rng, drift = np.random.default_rng(0), started(0)
    fed(drift, good(rng, 500))
    fed(drift, good(rng, 5000) + 0.25)
    assert drift.is_alarm
    assert drift.alarms > 10


@pytest.mark.parametrize("before", [500, 3000])
def test_the_parts_that_made_an_alarm_are_forgotten(before):
    """In a rise of many standard deviations, these are all parts since its first."""
    rng, drift = np.random.default_rng(0), started(0)
    fed(drift, good(rng, before))
    while not drift.is_alarm:
        drift.update(100.0)
    assert len(drift._edges) + drift._counts.sum() == pytest.approx(40 + before, abs=30)
    assert drift._counts.min() >= 0
    assert drift._place((50.0, 0.5), 0.5) > 0.99


def test_scores_that_repeat_one_value_are_no_drift():
    drift = Drift.from_calibration([1.0] * 40, seed=0)
    assert max(fed(drift, [1.0] * 3000)) < ALARM_LOG10


def test_without_calibration_scores_the_lines_own_first_parts_are_learned():
    rng, drift = np.random.default_rng(0), Drift.from_calibration([], seed=0)
    fed(drift, good(rng, 2000))
    assert not drift.is_alarm
    fed(drift, good(rng, 400) + 0.5)
    assert drift.is_alarm


@pytest.mark.parametrize("calibration", [40, 1500])
def test_places_are_uniform_and_unrelated(calibration):
    """Also after the thousandth score, from where on only gaps are counted."""
    rng, drift = np.random.default_rng(5), started(0, calibration)
    scores = good(rng, 6000)
    found = []
    for score in scores:
        tagged = (float(score), float(rng.random()))
        found.append(drift._place(tagged, float(rng.random())))
        drift._learn(tagged)
    places = np.array(found)
    assert abs(places.mean() - 0.5) < 3 / np.sqrt(12 * len(places))
    assert abs((places < 0.01).mean() - 0.01) < 0.005
    assert abs(np.corrcoef(places[:-1], places[1:])[0, 1]) < 0.05


def test_a_drift_that_is_restored_goes_on_as_if_nothing_had_been():
    scores = good(np.random.default_rng(0), 1400)
    one, other = started(0), started(0)
    fed(one, scores[:1200])
    restored = Drift.restore(json.loads(json.dumps(one.state())))
    assert fed(restored, scores[1200:]) == fed(other, scores)[1200:]
    assert restored.parts == 1400


def test_what_is_kept_does_not_grow():
    drift = started(0)
    fed(drift, good(np.random.default_rng(0), 3000))
    assert len(json.dumps(drift.state())) < 120_000


@pytest.mark.parametrize("score", [float("nan"), float("inf")])
def test_a_score_that_is_not_finite_is_refused(score):
    with pytest.raises(ValueError, match="must be finite"):
        started(0).update(score)


@pytest.mark.parametrize(
    "damage",
    [
        {"counts": [1]},
        {"logs": [0.0]},
        {"edges": 3},
        {"edges": [[1.0]]},
        {"counts": ["a"]},
        {"recent": None},
    ],
)
def test_a_state_that_is_damaged_is_refused(damage):
    with pytest.raises(ValueError):
        Drift.restore({**started(0).state(), **damage})


def test_a_state_without_a_key_is_refused():
    with pytest.raises(ValueError, match="no state of a drift"):
        Drift.restore({"seed": 0})
