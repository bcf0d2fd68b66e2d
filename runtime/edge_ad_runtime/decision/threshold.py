"""A threshold: the plainest way to decide."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from edge_ad_runtime.errors import ConfigError, EdgeADError

Verdict = Literal["good", "anomalous"]

_LEAST = 0.1
_MOST = 1e12  # no manifest holds a larger threshold


def verdict_of(score: float, threshold: float) -> Verdict:
    """The verdict of a score. A score that is not finite has none.

    Raises:
        EdgeADError: the score is not finite.

    >>> verdict_of(1.2, threshold=1.0)
    'anomalous'
    """
    if not math.isfinite(score):
        raise EdgeADError(f"the score is {score}; the image cannot be judged")
    return "anomalous" if score > threshold else "good"


def check_threshold(threshold: float, *, in_decades: bool, name: str = "threshold") -> None:
    """Refuse a threshold that somebody gives and that scores cannot have.

    Args:
        threshold: in the unit of the scores.
        in_decades: whether scores are logarithms, of any sign, and not distances.
        name: what messages call it.

    Raises:
        ConfigError: it is not finite, too large, or, of distances, not above 0.
    """
    if abs(threshold) <= _MOST and (threshold > 0 or in_decades):
        return
    raise ConfigError(
        f"{name} is {threshold:g}; a threshold must be a number of decades from -1e12 to 1e12"
        if in_decades
        else f"{name} is {threshold:g}; a threshold must be a number above 0, as scores are "
        "distances, and at most 1e12"
    )


def is_above(values: NDArray[np.float32], threshold: float) -> NDArray[np.bool_]:
    """Where the values of a map are above the threshold, in the shape of the map.

    They are compared as the score is, in float64. Compared in float32, the threshold would be
    rounded, and an image could be anomalous without any pixel that is.
    """
    return np.asarray(values.astype(np.float64) > threshold)


def least_unit(threshold: float, *, in_decades: bool = False) -> float:
    """The least score that a difference of scores is taken relative to: a tenth of the threshold.

    The score of an image that is in the bank is rounding noise around 0. A difference of two such
    scores means something only in proportion to the threshold. Scores that are logarithms have a
    unit of their own, a decade, and a threshold of 0 is as good as any.
    """
    return 1.0 if in_decades else _LEAST * threshold
