"""Detection and localisation metrics: exact, by sorting, no thresholds sampled.

AUROC and PRO are one thing: the area under a curve of (weighted) true positives against false
positives. `area_under_curve` computes it for any weights and any limit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import label

Scores = NDArray[np.floating]
PRO_LIMIT = 0.3


def area_under_curve(
    negatives: Scores, positives: Scores, weights: Scores | None = None, *, limit: float = 1.0
) -> float:
    """Area under true-positive weight against false-positive rate, from 0 to ``limit``.

    Lowering the threshold past a positive of score a lifts the curve by its weight while the
    false-positive rate goes from lo = #(negatives > a) / n to hi = #(negatives >= a) / n (a sloped
    piece where scores tie). To the area up to L it adds its weight times L - (lo + hi) / 2, less
    what lies beyond L: no curve is ever built.

    Args:
        negatives: ``(n,)`` scores, any order.
        positives: ``(p,)`` scores.
        weights: ``(p,)`` summing to 1; None: equal.
        limit: largest false-positive rate, in (0, 1].

    Returns:
        The area divided by ``limit``: 1 is perfect. With no limit and equal weights, the AUROC.
    """
    ascending = np.sort(negatives)
    n = len(ascending)
    lo = (n - np.searchsorted(ascending, positives, side="right")) / n
    hi = (n - np.searchsorted(ascending, positives, side="left")) / n
    whole = limit - (lo + hi) / 2
    cut = np.maximum(limit - lo, 0) ** 2 / (2 * np.maximum(hi - lo, 1 / (2 * n)))
    area = np.where(hi <= limit, whole, cut)
    return float(np.average(area, weights=weights) / limit)


def auroc(scores: Scores, is_defective: NDArray[np.bool_]) -> float:
    """Area under the ROC curve; ties count half."""
    return area_under_curve(scores[~is_defective], scores[is_defective])


def pixel_auroc(maps: Sequence[Scores], masks: Sequence[NDArray[np.bool_]]) -> float:
    """AUROC over all pixels of all images."""
    return area_under_curve(*_split_pixels(maps, masks))


def per_region_overlap(
    maps: Sequence[Scores], masks: Sequence[NDArray[np.bool_]], *, limit: float = PRO_LIMIT
) -> float:
    """PRO (Bergmann et al. 2020): area under mean overlap per region, up to 30% false positives.

    A region is an 8-connected component of a mask; each counts the same, whatever its size.
    """
    regions = [label(mask, structure=np.ones((3, 3))) for mask in masks]
    count = sum(found for _, found in regions)
    weights = []
    for labels, _ in regions:
        inside = labels[labels > 0]
        weights.append(1 / (np.bincount(inside)[inside] * count) if len(inside) else inside)
    return area_under_curve(*_split_pixels(maps, masks), np.concatenate(weights), limit=limit)


class BestF1(NamedTuple):
    """The threshold with the largest F1; an image is called defective if its score >= threshold."""

    f1: float
    threshold: float
    precision: float
    recall: float


def best_f1(scores: Scores, is_defective: NDArray[np.bool_]) -> BestF1:
    """The best point of the precision-recall curve (it needs labels: not for the line)."""
    thresholds, precision, recall = precision_recall(scores, is_defective)
    f1 = 2 * precision * recall / np.maximum(precision + recall, np.finfo(float).tiny)
    at = int(f1.argmax())
    return BestF1(float(f1[at]), float(thresholds[at]), float(precision[at]), float(recall[at]))


def precision_recall(scores: Scores, is_defective: NDArray[np.bool_]) -> tuple[Scores, ...]:
    """Thresholds (falling), precision and recall at each distinct score."""
    thresholds, true_positives, false_positives = _counts(scores, is_defective)
    called = true_positives + false_positives
    return thresholds, true_positives / called, true_positives / is_defective.sum()


def roc(scores: Scores, is_defective: NDArray[np.bool_]) -> tuple[Scores, Scores]:
    """False- and true-positive rates, from (0, 0) to (1, 1), for drawing."""
    _, true_positives, false_positives = _counts(scores, is_defective)
    return (
        np.concatenate([[0.0], false_positives / (~is_defective).sum()]),
        np.concatenate([[0.0], true_positives / is_defective.sum()]),
    )


def _counts(scores: Scores, is_defective: NDArray[np.bool_]) -> tuple[Scores, Scores, Scores]:
    """Per distinct score, falling: how many of each label are at or above it."""
    thresholds, group = np.unique(-scores, return_inverse=True)
    positives = np.bincount(group, weights=is_defective, minlength=len(thresholds))
    negatives = np.bincount(group, weights=~is_defective, minlength=len(thresholds))
    return -thresholds, positives.cumsum(), negatives.cumsum()


def _split_pixels(
    maps: Sequence[Scores], masks: Sequence[NDArray[np.bool_]]
) -> tuple[Scores, Scores]:
    pairs = list(zip(maps, masks, strict=True))
    return (
        np.concatenate([heat[~mask] for heat, mask in pairs]),
        np.concatenate([heat[mask] for heat, mask in pairs]),
    )
