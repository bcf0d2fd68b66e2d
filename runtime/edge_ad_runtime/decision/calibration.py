"""A threshold for a false-reject rate, and what any threshold is worth, from scores of good images.

The workshop sets the first threshold with this, and a device may set another one later: see
``edge_ad.fitting.calibrate`` for what is promised, and why.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from edge_ad_runtime.artifact.calibration_records import (
    Calibration,
    ExportedThreshold,
    LearnedFrom,
)
from edge_ad_runtime.artifact.calibration_scores import (
    CalibrationScores,
    images_needed,
    smallest_rate,
)
from edge_ad_runtime.decision.beta import beta_quantile
from edge_ad_runtime.errors import ConfigError

USUAL_RATES = (0.1, 0.05, 0.025, 0.01, 0.005, 0.001)

_INTERVAL = (0.05, 0.95)


def learned(scores: CalibrationScores, rate: float | None, method: LearnedFrom) -> Calibration:
    """The threshold for a false-reject rate.

    Args:
        scores: of one good image at least.
        rate: the share of good parts that may be rejected, which the scores support. None takes the
            smallest that they do.
        method: how the scores were taken.
    """
    rank = scores.rank_at_rate(smallest_rate(scores.images) if rate is None else rate)
    return Calibration(
        method=method,
        threshold=scores.score_at(rank),
        false_reject_rate=scores.rate_of(rank),
        requested_rate=rate,
        interval=_interval(scores.images, rank),
        images=scores.images,
        scores=scores.kept,
    )


def given(
    scores: CalibrationScores, threshold: float, scores_from: LearnedFrom | None
) -> Calibration:
    """What is known of a threshold that somebody chose. Without scores it is nothing.

    Args:
        scores: of good images. There may be none.
        threshold: in the unit of the scores.
        scores_from: how the scores were taken, or None if that is not known.
    """
    rank = scores.rank_of(threshold)
    return Calibration(
        method="given",
        threshold=threshold,
        false_reject_rate=scores.rate_of(rank),
        requested_rate=None,
        interval=_interval(scores.images, rank),
        images=scores.images,
        scores=scores.kept,
        scores_from=scores_from if scores.images else None,
    )


def a_contrario(scores: CalibrationScores, false_alarms: float) -> Calibration:
    """The threshold of scores that are -log10 of a number of false alarms, and what it is worth.

    Args:
        scores: of good images that were held out. There may be none.
        false_alarms: how many may be expected in each image of noise, above 0.
    """
    known = given(scores, -math.log10(false_alarms) + 0.0, None)  # 0.0: no minus 0
    return replace(known, method="a-contrario", false_alarms=false_alarms)


def scores_of(calibration: Calibration) -> CalibrationScores:
    """The scores that an artifact carries. An artifact of schema 3 carries none."""
    images = calibration.images if calibration.scores else 0
    return CalibrationScores(images=images, kept=calibration.scores)


def scores_from(calibration: Calibration) -> LearnedFrom | None:
    """How the scores of a calibration were taken. None if there are none, or nobody has said."""
    if calibration.method == "split-conformal" or calibration.method == "leave-one-out":
        return calibration.method
    if calibration.method == "a-contrario":  # a method that promises a rate holds images out
        return "split-conformal"
    return calibration.scores_from


def promise(calibration: Calibration) -> str:
    """On what a false-reject rate rests, for people. Empty where nothing is known of it."""
    way = scores_from(calibration)
    if calibration.images == 0 or way is None:
        return ""
    if calibration.method != way:  # a threshold that the scores have not set
        return "what images that were not learned from make of a threshold they have not set"
    if way == "split-conformal":
        return "a theorem, if new good parts are like those that were held out"
    return "measured to be careful and no theorem, if new good parts are like these"


def moved_to_rate(calibration: Calibration, rate: float, sha256: str) -> Calibration:
    """The threshold of another false-reject rate, from the scores that an artifact carries.

    Args:
        calibration: of the artifact.
        rate: the share of good parts that may be rejected, in (0, 1).
        sha256: the SHA-256 in the artifact's manifest.

    Raises:
        ConfigError: the artifact carries no scores, or its scores do not support the rate.
    """
    why_not = why_no_rates(calibration)
    method = scores_from(calibration)
    if why_not or method is None:
        raise ConfigError(f"false_reject_rate is {rate:g}, but {why_not}; give a threshold instead")
    if not 0 < rate < 1:
        raise ConfigError(f"false_reject_rate is {rate:g}; it must be above 0 and below 1")
    scores = scores_of(calibration)
    if rate < smallest_rate(scores.images):
        raise ConfigError(
            f"false_reject_rate is {rate:g}, which needs {images_needed(rate)} scores of good "
            f"images; {supported(scores.images)}: ask for that, or fit more good images"
        )
    return _moved(calibration, learned(scores, rate, method), sha256)


def moved_to_threshold(calibration: Calibration, threshold: float, sha256: str) -> Calibration:
    """A threshold that somebody chose, and what the scores of an artifact make of it.

    Args:
        calibration: of the artifact.
        threshold: in the unit of the score.
        sha256: the SHA-256 in the artifact's manifest.
    """
    scores = scores_of(calibration)
    return _moved(calibration, given(scores, threshold, scores_from(calibration)), sha256)


def moved_to_false_alarms(
    calibration: Calibration, false_alarms: float, sha256: str
) -> Calibration:
    """The threshold of another number of false alarms.

    Args:
        calibration: of an artifact whose scores are -log10 of such a number.
        false_alarms: how many may be expected in each image of noise, above 0.
        sha256: the SHA-256 in the artifact's manifest.
    """
    return _moved(calibration, a_contrario(scores_of(calibration), false_alarms), sha256)


def why_no_rates(calibration: Calibration) -> str:
    """Why no threshold can be chosen by a false-reject rate. Empty if one can be."""
    if not calibration.images:
        return "the artifact carries no scores of good images that were left out of the fit"
    if not calibration.scores:
        return (
            "the artifact does not carry the scores of the good images that set its threshold, as "
            "it was exported before they were kept; export the fit again to have them"
        )
    if scores_from(calibration) is None:
        return (
            "the artifact does not say how its scores were taken, as it was exported with a given "
            "threshold before that was kept; export the fit again to have it"
        )
    return ""


def supported(images: int) -> str:
    """What so many scores support, for people.

    >>> supported(39)
    '39 scores support no rate below 2.5%'
    """
    percent = math.ceil(smallest_rate(images) * 1e6 - 1e-6) / 1e4  # what is said is accepted
    return f"{images} score{'' if images == 1 else 's'} support no rate below {percent:g}%"


@dataclass(frozen=True, kw_only=True)
class RateRow:
    """One row of the table of rates and thresholds.

    Attributes:
        false_reject_rate: the rate that one may ask for.
        threshold: the threshold for it, or None if the scores do not support the rate.
        expected_rate: the share of good parts that are then expected to be rejected, at most. It is
            smaller than the rate that was asked for where no rank has just that.
        interval: the 90% interval of the realised rate.
        images_needed: how many scores of good images the rate needs.
    """

    false_reject_rate: float
    threshold: float | None
    expected_rate: float | None
    interval: tuple[float, float] | None
    images_needed: int


def rate_table(calibration: Calibration) -> tuple[RateRow, ...]:
    """Thresholds for the usual rates and for the smallest that the scores support.

    It is empty if `why_no_rates` says why.
    """
    method = scores_from(calibration)
    if why_no_rates(calibration) or method is None:
        return ()
    scores = scores_of(calibration)
    smallest = smallest_rate(scores.images)
    rates = sorted({*USUAL_RATES, smallest}, reverse=True)
    return tuple(_row(scores, rate, method, is_supported=rate >= smallest) for rate in rates)


def _row(
    scores: CalibrationScores, rate: float, method: LearnedFrom, *, is_supported: bool
) -> RateRow:
    found = learned(scores, rate, method) if is_supported else None
    return RateRow(
        false_reject_rate=rate,
        threshold=None if found is None else found.threshold,
        expected_rate=None if found is None else found.false_reject_rate,
        interval=None if found is None else found.interval,
        images_needed=images_needed(rate),
    )


def _moved(before: Calibration, after: Calibration, sha256: str) -> Calibration:
    """Keep what the export had set, however often the threshold is moved."""
    exported = before.exported or ExportedThreshold(
        sha256=sha256,
        method=before.method,
        threshold=before.threshold,
        false_reject_rate=before.false_reject_rate,
    )
    return replace(after, exported=exported)


def _interval(n: int, k: int) -> tuple[float, float]:
    """90% of the realised rates, if k of n scores are at most the threshold."""
    if k == 0:  # nothing is known from below
        return (float(_INTERVAL[0] ** (1 / n)) if n else 0.0, 1.0)
    low, high = (beta_quantile(share, n + 1 - k, k) for share in _INTERVAL)
    return low, high
