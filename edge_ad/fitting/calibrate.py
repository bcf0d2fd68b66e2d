"""A threshold from good images alone, with a guarantee (split conformal prediction).

Vovk, Gammerman & Shafer, *Algorithmic Learning in a Random World* (2005); Lei et al. 2018. Let n
good images be held out of the fit, with scores S_1..S_n, and take the k-th smallest as threshold.
If a new good part is exchangeable with them, then over the draw of both

    P(new score > S_(k)) <= 1 - k / (n + 1),

with equality where scores do not tie. For a rate alpha, k = ceil((n + 1)(1 - alpha)). As k is at
most n, n images support no rate below 1 / (n + 1). Given one particular hold-out, the realised
rate is Beta(n + 1 - k, k) distributed (Vovk 2012), whence the interval.

A threshold that somebody gives is held to the same mathematics: k of the held-out scores are not
above it. (If it was chosen by looking at those very scores, the rate is optimistic.)
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta

from edge_ad_runtime.artifact.schema import MOST_SCORES, Calibration
from edge_ad_runtime.errors import ConfigError, FitError

_INTERVAL = (0.05, 0.95)


def check_rate(rate: float | None, images: int) -> None:
    """Refuse a rate that ``images`` held-out images cannot support, before any work is done.

    Raises:
        ConfigError: they cannot. The error names the smallest rate that they support, and how many
            images the rate needs.
    """
    if rate is not None and rate < _smallest_rate(images):
        needed = math.ceil(1 / rate) - 1
        raise ConfigError(
            f"false_reject_rate {rate:g} needs {needed} held-out good images, there are {images}; "
            f"the smallest rate they support is {_smallest_rate(images):.4g}: ask for that, add "
            "good images or raise holdout_fraction"
        )


def split_conformal(scores: NDArray[np.floating], rate: float | None) -> Calibration:
    """The threshold for a false-reject rate.

    Args:
        scores: ``(n,)`` image scores of held-out good images.
        rate: the share of good parts that may be rejected. None takes the smallest supported,
            1 / (n + 1).

    Raises:
        ConfigError: see `check_rate`.
        FitError: there are no scores, or some are not finite.

    >>> split_conformal(np.arange(1.0, 100.0), 0.05).threshold
    95.0
    """
    n = len(scores)
    if n == 0 or not np.isfinite(scores).all():
        raise FitError(f"{n} held-out scores, all finite ones are needed to set a threshold")
    check_rate(rate, n)
    wanted = _smallest_rate(n) if rate is None else rate
    # 1e-9: (n + 1)(1 - 1 / (n + 1)) must not round up past n
    k = min(n, math.ceil((n + 1) * (1 - wanted) - 1e-9))
    return Calibration(
        method="split-conformal",
        threshold=float(np.sort(scores)[k - 1]),
        false_reject_rate=(n + 1 - k) / (n + 1),
        requested_rate=rate,
        interval=_interval(n, k),
        images=n,
        scores=_kept(scores),
    )


def given_threshold(scores: NDArray[np.floating], threshold: float) -> Calibration:
    """What is known of a threshold that was not learned. Without held-out scores it is nothing.

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
