"""Stages of heads: whose they are, how far they are from the reference, and how far they may be."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ad_runtime.artifact.folder import Artifact
from edge_ad_runtime.errors import ArtifactError
from edge_ad_runtime.heads import MAP, SCORE, SIGNIFICANCE, Head, Stage

REGIONS = "regions"
"""The stage after the verdict: where the image is anomalous. Old artifacts have no values of it."""

_MOST_LEVELS = 8.0  # preprocessing may be off by so many grey levels
_MOST_LOSS = 1000.0


def own_stages(head: Head) -> tuple[Stage, ...]:
    """The stages before the map and the score, which belong to one member of an ensemble."""
    assert head.stages[-2:] == (MAP, SCORE), "every head ends with these"
    return head.stages[:-2]


def tell_regions(heads: Sequence[Head]) -> bool:
    """Whether the heads say together where an image is anomalous. See `Prediction.mask`."""
    if len(heads) == 1 and SIGNIFICANCE in heads[0].shapes:
        return True
    return all(head.map_in_unit_of_score for head in heads)


def compare(stage: Stage, found: NDArray[Any], expected: NDArray[Any], least: float) -> float:
    """The difference of a stage's value from the reference's, in the stage's own measure.

    Args:
        stage: says how values are compared.
        found: this device's value.
        expected: the reference's value.
        least: the expected magnitude counts as this at least.

    Returns:
        The difference relative to the expected magnitude. It is infinite if the shapes differ or a
        value is not finite.
    """
    if found.shape != expected.shape or not np.isfinite(found).all():
        return float("inf")
    difference, magnitude = np.abs(found - expected), np.abs(expected)
    if stage.compared == "mean":
        return _ratio(float(difference.mean()), float(magnitude.mean()), least)
    return _ratio(float(difference.max()), float(magnitude.max()), least)


def _ratio(difference: float, magnitude: float, least: float) -> float:
    return difference / max(magnitude, least, float(np.finfo(np.float32).tiny))


def check_tolerances(artifact: Artifact, heads: Sequence[Head]) -> None:
    """Refuse tolerances that are not those of the heads' stages, or that would prove nothing.

    Raises:
        ArtifactError: the tolerances are refused. The message names the stage, or both lists.
    """
    most = {"preprocess": _MOST_LEVELS}
    for head in heads:
        most |= {stage.name: stage.most_tolerance for stage in head.stages}
    if artifact.manifest.precision_loss is not None:
        most["precision"] = _MOST_LOSS
    found = artifact.manifest.tolerances
    if REGIONS in found and tell_regions(heads):  # those of before this stage lack it
        most[REGIONS] = 0.0
    if found.keys() != most.keys():
        raise ArtifactError(
            f"tolerances are of {', '.join(found)}, its stages are {', '.join(most)}; export again",
            path=artifact.folder,
        )
    for stage, tolerance in found.items():
        if tolerance > most[stage]:
            raise ArtifactError(
                f"tolerances.{stage} is {tolerance:g}; {most[stage]:g} is the most that proves "
                "anything; export again",
                path=artifact.folder,
            )
