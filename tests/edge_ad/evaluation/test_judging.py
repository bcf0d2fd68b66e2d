"""What an evaluation says in words, and that its advice is right."""

import numpy as np
import pytest

from edge_ad.evaluation.judging import Judged, is_unlikely, remarks
from edge_ad_runtime.artifact.calibration_scores import CalibrationScores
from edge_ad_runtime.decision.calibration import given, learned

SCORES = np.linspace(1, 2, 10)


def judged(good, defective, *, auroc=1.0, calibration=None):
    return Judged(
        artifact="parts/line3.edgead",
        good=np.asarray(good, float),
        defective=np.asarray(defective, float),
        calibration=calibration or learned(CalibrationScores.of(SCORES), None, "split-conformal"),
        image_auroc=auroc,
    )


def test_a_promise_that_is_kept_is_said_to_be():
    (line,) = remarks(judged([1.5] * 48 + [2.5] * 2, [9] * 50))
    assert line.startswith("2 of 50 good parts rejected (4.0%): as promised, at most 9.1% on")


def test_a_broken_promise_is_named_with_the_command_that_mends_it():
    good = [1.5] * 25 + list(np.linspace(2.1, 3.0, 25))
    first, command = remarks(judged(good, [9] * 50))
    assert first.startswith("25 of 50 good parts rejected (50.0%), at most 9.1% were promised")
    assert "these good images are not like those of the fit" in first
    typed = float(command.split("--set ")[1].split()[0])
    assert sum(score > typed for score in good) == 4  # 9.1% of 50
    assert "edge-ad threshold parts/line3.edgead --set" in command
    assert "--out parts/line3-lenient.edgead" in command
    assert "rejects 4 of 50 good parts here and misses 0 of 50 defective ones" in command


def test_missed_defects_are_set_against_the_best_f1_with_the_command():
    good, defective = [1.0] * 40 + [2.5], [1.8] * 113 + [3.0] * 6
    _, missed, command = remarks(judged(good, defective))
    assert missed == ("113 of 119 defective parts missed, 0 by the threshold of the best F1")
    typed = float(command.split("--set ")[1].split()[0])
    assert 1.0 < typed < 1.8
    assert "-strict.edgead" in command


def test_nothing_is_said_of_misses_that_no_threshold_avoids():
    lines = remarks(judged([1.0] * 40, [0.5] * 2 + [5.0] * 38))
    assert len(lines) == 1


def test_a_poor_order_is_said_to_be_no_matter_of_the_threshold():
    lines = remarks(judged([1, 1.4, 1.6], [1.2, 1.5], auroc=0.6))
    assert "edge-ad suggest GOOD_PARTS --labelled TEST_PARTS" in lines[-1]


def test_without_held_out_images_no_promise_is_judged():
    nothing = given(CalibrationScores.of([]), 2.0, None)
    (line,) = remarks(judged([1.0, 3.0], [9.0], calibration=nothing))
    assert "the artifact promises no rate" in line


@pytest.mark.parametrize(("n", "images"), [(10, 50), (40, 40), (99, 200)])
def test_a_promise_that_holds_is_rarely_called_broken(n, images):
    rng = np.random.default_rng(0)
    called = []
    for _ in range(400):
        calibration = learned(CalibrationScores.of(rng.normal(size=n)), None, "split-conformal")
        rejected = int((rng.normal(size=images) > calibration.threshold).sum())
        called.append(is_unlikely(rejected, images, calibration))
    assert np.mean(called) < 0.08
