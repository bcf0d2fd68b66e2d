"""How far a stage is from the reference, and which stages are a head's own."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ad_runtime.heads import MAP, SCORE, Head, Stage


def own_stages(head: Head) -> tuple[Stage, ...]:
    """The stages before the map and the score, which belong to one member of an ensemble."""
    assert head.stages[-2:] == (MAP, SCORE), "every head ends with these"
    return head.stages[:-2]


def compare(stage: Stage, found: NDArray[Any], expected: NDArray[Any], least: float) -> float:
    """The difference of a stage's value from the reference's, in the stage's own measure.

    Args:
        stage: says how values are compared.
        found: this device's.
        expected: the reference's.
        least: what the expected magnitude counts as at least.

    Returns:
        Relative to the expected magnitude; infinite if shapes differ or a value is not finite.
    """
    if found.shape != expected.shape or not np.isfinite(found).all():
        return float("inf")
    difference, magnitude = np.abs(found - expected), np.abs(expected)
    if stage.compared == "mean":
        return _ratio(float(difference.mean()), float(magnitude.mean()), least)
    return _ratio(float(difference.max()), float(magnitude.max()), least)


def _ratio(difference: float, magnitude: float, least: float) -> float:
    return difference / max(magnitude, least, float(np.finfo(np.float32).tiny))
