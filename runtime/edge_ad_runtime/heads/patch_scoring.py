"""From patch distances to the score of an image (PatchCore, Roth et al. 2022, section 3.3)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge_ad_runtime.artifact.head_records import Scoring
from edge_ad_runtime.search import Nearest, mean_distances

FloatArray = NDArray[np.float32]


def patch_distances(nearest: Nearest, scoring: Scoring) -> FloatArray:
    """One distance per patch, ``(q,)``, which is the mean over its k nearest bank patches."""
    return mean_distances(nearest.distances, squared=scoring.squared)


def image_score(
    features: FloatArray,
    distances: FloatArray,
    nearest: Nearest,
    bank: FloatArray,
    bank_neighbours: NDArray[np.int32] | None,
) -> float:
    """The largest patch distance (equation 6), re-weighted (equation 7) where neighbours are given.

    With m_test* the farthest patch, m* its nearest bank patch and N_b(m*) the b bank patches
    nearest to m* (m* itself counted):

        s* = |m_test* - m*|,   s = (1 - exp(s*) / sum over m in N_b(m*) of exp|m_test* - m|) s*

    Args:
        features: ``(q, D)`` patch features.
        distances: ``(q,)`` from `patch_distances`.
        nearest: the bank rows nearest to these features.
        bank: ``(n, D)``.
        bank_neighbours: ``(n, b)``, the b bank rows nearest to each bank row. None leaves the
            score of equation 6 as it is.

    Returns:
        A raw distance, never clamped or rescaled.
    """
    farthest = int(distances.argmax())
    score = float(distances[farthest])
    if bank_neighbours is None:
        return score
    support = bank[bank_neighbours[nearest.rows[farthest, 0]]]  # (b, D)
    to_support = np.linalg.norm(features[farthest] - support, axis=1).astype(np.float64)
    # exp(d*) / sum exp(d) = 1 / sum exp(d - d*), which overflows for no distances
    beyond = to_support - float(nearest.distances[farthest, 0])
    weight = 1 - 1 / np.exp(np.minimum(beyond, 700)).sum()
    return float(weight * score)
