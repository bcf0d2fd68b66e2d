"""What heads ask of the values that a network gives them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge_ad_runtime.errors import EdgeADError

_BEYOND = 10  # features are taken to be at most so many times as long as they are expected to be
_LARGEST = 1e15  # sums of the squares of many features up to this are still float32 numbers


def squarable(features: NDArray[np.float32]) -> NDArray[np.float32]:
    """The same features, whose distances can be computed.

    Raises:
        EdgeADError: some are not finite, or too large.
    """
    largest = max(float(features.max()), -float(features.min()))  # nan if one value is nan
    if not largest < _LARGEST:
        raise EdgeADError(
            "the network gives values that are not finite, or too large to square (up to "
            f"{largest:.3g}); the image cannot be judged"
        )
    return features


def finite(values: NDArray[np.float32], *, giver: str) -> NDArray[np.float32]:
    """The same values.

    Args:
        values: what a network has given.
        giver: what has given them, for the message.

    Raises:
        EdgeADError: some are not finite.
    """
    if not np.isfinite(values).all():
        raise EdgeADError(f"{giver} gives values that are not finite; the image cannot be judged")
    return values


def reach(longest: float, dimension: int) -> float:
    """How far a feature is expected to be at most from features that are kept.

    A feature f is at most |f| + |b| from a kept one, b. No feature is expected to be longer than
    ten times the longest that is kept. The root of the dimension is added to that one's length, for
    good images that are all the same.

    Args:
        longest: the length of the longest feature that is kept.
        dimension: how many values a feature has.
    """
    return float(_BEYOND * (2 * longest + dimension**0.5))
