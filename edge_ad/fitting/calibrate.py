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
that no image is spared. The rank is the same, and so is the rate that is stated, but it is no
theorem any more: every score is of a detector that has learned from one image fewer. What is proved
(jackknife+, Barber et al. 2021) is twice the rate, of a detector that keeps all n of those fits.

A threshold that somebody gives is held to the same mathematics: k of the scores are not
above it. (If it was chosen by looking at those very scores, the rate is optimistic.) So is an
*a-contrario* threshold, which a method promises by itself: its rate is what good images make of it.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta

from edge_ad_runtime.artifact.schema import MOST_SCORES, Calibration
from edge_ad_runtime.errors import ConfigError, FitError

LearnedFrom = Literal["split-conformal", "leave-one-out"]

_INTERVAL = (0.05, 0.95)


def check_rate(rate: float | None, images: int) -> None:
    """Refuse a rate that so many left-out images cannot support, before any work is done.

    Raises:
        ConfigError: they cannot. The error names the smallest rate that they support, and how many
            images the rate needs.
    """
    if rate is not None and rate < _smallest_rate(images):
        needed = math.ceil(1 / rate) - 1
        raise ConfigError(
            f"false_reject_rate {rate:g} needs {needed} good images that set the "
            f"threshold, there are {images}; the smallest rate they support is "
            f"{_smallest_rate(images):.4g}: ask for that, add good images or raise holdout_fraction"
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
    n = len(scores)
    if n == 0 or not np.isfinite(scores).all():
        raise FitError(f"{n} left-out scores, all finite ones are needed to set a threshold")
    check_rate(rate, n)
    wanted = _smallest_rate(n) if rate is None else rate
    # 1e-9: (n + 1)(1 - 1 / (n + 1)) must not round up past n
    k = min(n, math.ceil((n + 1) * (1 - wanted) - 1e-9))
    return Calibration(
        method=method,
        threshold=float(np.sort(scores)[k - 1]),
        false_reject_rate=(n + 1 - k) / (n + 1),
        requested_rate=rate,
        interval=_interval(n, k),
        images=n,
        scores=_kept(scores),
    )


def given_threshold(scores: NDArray[np.floating], threshold: float) -> Calibration:
    """What is known of a threshold that was not learned. Without left-out scores it is nothing.

    >>> given_threshold(np.arange(1.0, 100.0), 95.5).false_reject_rate
    0.05
    """
    n, k = len(scores), int((scores <= threshold).sum())
    return Calibration(
        method="given",
        threshold=threshold,
        false_reject_rate=(n + 1 - k) / (n + 1),
        requested_rate=None,
        interval=_interval(n, k),
        images=n,
        scores=_kept(scores),
    )


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
    known = given_threshold(scores, -math.log10(false_alarms) + 0.0)  # 0.0: no minus 0
    return replace(known, method="a-contrario", false_alarms=false_alarms)


def _kept(scores: NDArray[np.floating]) -> tuple[float, ...]:
    """The scores, rising. Of too many, those evenly spaced in rank that a manifest can hold."""
    rising = np.sort(scores)
    if len(rising) > MOST_SCORES:
        rising = rising[np.linspace(0, len(rising) - 1, MOST_SCORES).round().astype(int)]
    return tuple(rising.tolist())


def _interval(n: int, k: int) -> tuple[float, float]:
    """90% of the realised rates, if k of n scores are at most the threshold."""
    if k == 0:  # nothing is known from below
        return (float(_INTERVAL[0] ** (1 / n)) if n else 0.0, 1.0)
    low, high = beta.ppf(_INTERVAL, n + 1 - k, k)
    return float(low), float(high)


def _smallest_rate(images: int) -> float:
    return 1 / (images + 1)
