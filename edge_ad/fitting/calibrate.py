"""A threshold from good images alone (conformal prediction).

Vovk, Gammerman & Shafer, *Algorithmic Learning in a Random World* (2005); Lei et al. 2018. Let n
good images be held out of the fit, with scores S_1..S_n, and take the k-th smallest as threshold.
If a new good part is exchangeable with them, then over the draw of both

    P(new score > S_(k)) <= 1 - k / (n + 1),

with equality where scores do not tie. For a rate alpha, k = ceil((n + 1)(1 - alpha)). As k is at
most n, n images support no rate below 1 / (n + 1). Given one particular hold-out, the realised
rate is Beta(n + 1 - k, k) distributed (Vovk 2012), whence the interval. This is *split* conformal
prediction.

*Leave-one-out* scores are those that each image would have had if it had not been learned from, so
that no image is spared. The rank is the same, and so is the rate that is stated. It is a theorem
where scores only fall as more images are learned from: full conformal prediction takes for each
image its score by all others *and* the new one. That is no larger than its leave-one-out score, and
of the new image it is the score itself. So what is rejected here is rejected there too, and there
with at most this rate. (Jackknife-minmax of Barber et al. 2021 gives the same.) It holds for
nearest neighbours among all images' rows, such as SPADE's dn2. Of a greedy coreset, of equation 7
and of Gaussians it is no theorem, and jackknife+, which has one at twice the rate, would judge a
new image by n detectors. There the rates are measured: see ``benchmarks/calibration``.

Images of one part (`edge_ad.images.same_part`) are left out together, and have one score, the
largest.

A threshold that somebody gives is held to the same mathematics: k of the scores are not
above it. (If it was chosen by looking at those very scores, the rate is optimistic.) So is an
*a-contrario* threshold, which a method promises by itself: its rate is what good images make of it.

The mathematics themselves are in `edge_ad_runtime.decision.calibration`, because a device may move
the threshold later.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge_ad_runtime.artifact.calibration_records import Calibration, LearnedFrom
from edge_ad_runtime.artifact.calibration_scores import (
    CalibrationScores,
    images_needed,
    smallest_rate,
)
from edge_ad_runtime.decision import calibration as decision
from edge_ad_runtime.errors import ConfigError, FitError


def check_rate(rate: float | None, images: int) -> None:
    """Refuse a rate that so many left-out images cannot support, before any work is done.

    Raises:
        ConfigError: they cannot. The error names the smallest rate that they support, and how many
            images the rate needs.
    """
    if rate is not None and rate < smallest_rate(images):
        raise ConfigError(
            f"false_reject_rate {rate:g} needs {images_needed(rate)} good images that set the "
            f"threshold, there are {images}; the smallest rate they support is "
            f"{smallest_rate(images):.4g}: ask for that or add good images (all of them set "
            "it with --calibration leave-one-out, where the method can)"
        )


def learned_threshold(
    scores: NDArray[np.floating], rate: float | None, method: LearnedFrom = "split-conformal"
) -> Calibration:
    """The threshold for a false-reject rate.

    Args:
        scores: ``(n,)`` image scores of good images that were not learned from, or the scores that
            they would have had.
        rate: the share of good parts that may be rejected. None takes the smallest supported,
            1 / (n + 1).
        method: which of the two the scores are.

    Raises:
        ConfigError: see `check_rate`.
        FitError: there are no scores, or some are not finite.

    >>> learned_threshold(np.arange(1.0, 100.0), 0.05).threshold
    95.0
    """
    if len(scores) == 0 or not np.isfinite(scores).all():
        raise FitError(
            f"{len(scores)} left-out scores, all finite ones are needed to set a threshold"
        )
    check_rate(rate, len(scores))
    return decision.learned(CalibrationScores.of(scores), rate, method)


def given_threshold(
    scores: NDArray[np.floating], threshold: float, scores_from: LearnedFrom = "split-conformal"
) -> Calibration:
    """What is known of a threshold that was not learned. Without left-out scores it is nothing.

    Args:
        scores: ``(n,)``, as of `learned_threshold`. There may be none.
        threshold: in the unit of the scores.
        scores_from: which of the two the scores are.

    >>> given_threshold(np.arange(1.0, 100.0), 95.5).false_reject_rate
    0.05
    """
    return decision.given(CalibrationScores.of(scores), threshold, scores_from)


def a_contrario_threshold(scores: NDArray[np.floating], false_alarms: float) -> Calibration:
    """The threshold of scores that are -log10 of a number of false alarms, and what it is worth.

    Args:
        scores: ``(n,)`` of good images that were not learned from. There may be none.
        false_alarms: how many may be expected in each image.

    Raises:
        FitError: some scores are not finite.

    >>> a_contrario_threshold(np.array([-3.0, -4.0, 2.5]), 0.01).threshold
    2.0
    """
    if not np.isfinite(scores).all():
        raise FitError("some left-out scores are not finite, so nothing is known of the threshold")
    return decision.a_contrario(CalibrationScores.of(scores), false_alarms)
