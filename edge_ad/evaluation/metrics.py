"""Detection and localisation metrics: exact, by ranking, no thresholds sampled.

AUROC and PRO are one thing: the area under a curve of (weighted) true positives against false
positives. Lowering the threshold past a positive of score a lifts the curve by its weight while the
false-positive rate goes from lo = #(negatives > a) / n to hi = #(negatives >= a) / n (a sloped
piece where scores tie). To the area up to L it adds its weight times L - (lo + hi) / 2, less what
lies beyond L: no curve is ever built, and the negatives, which are nearly all pixels, are only
counted, an image at a time.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import label

from edge_ad_runtime.proof.auroc import image_auroc

Scores = NDArray[np.floating]
PRO_LIMIT = 0.3


def auroc(scores: Scores, is_defective: NDArray[np.bool_]) -> float:
    """The area under the ROC curve. Ties count half."""
    return image_auroc(scores[~is_defective], scores[is_defective])


class PixelMetrics(NamedTuple):
    """How well maps find defects.

    Attributes:
        auroc: the AUROC over all pixels of all images.
        pro: the per-region overlap (Bergmann et al. 2020). It is the area under the mean overlap of
            the regions up to 30% false positives, divided by 30%. A region is an 8-connected
            component of a mask. Each counts the same, whatever its size.
    """

    auroc: float
    pro: float


def pixel_metrics(
    maps: Sequence[Scores], masks: Sequence[NDArray[np.bool_]], *, limit: float = PRO_LIMIT
) -> PixelMetrics:
    """Both figures from one ranking.

    Args:
        maps: one ``(H, W)`` map for each image.
        masks: masks of the same shapes, True where defective. At least one pixel must be True.
        limit: the largest false-positive rate of the PRO, in (0, 1].
    """
    pairs = list(zip(maps, masks, strict=True))
    positives = np.concatenate([heat[mask] for heat, mask in pairs])
    lo, hi = _ranks((heat[~mask] for heat, mask in pairs), positives)
    sizes = np.concatenate([_region_sizes(mask) for mask in masks])  # of each positive's region
    return PixelMetrics(
        auroc=float(_areas(lo, hi).mean()),
        pro=float(np.average(_areas(lo, hi, limit), weights=1 / sizes) / limit),
    )


def _region_sizes(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """For each True pixel, row-major, how many pixels its region has."""
    if not mask.any():
        return np.zeros(0, np.int64)
    regions, _ = label(mask, structure=np.ones((3, 3)))
    inside = regions[mask]
    return np.asarray(np.bincount(inside)[inside])


def _ranks(negatives: Iterable[Scores], positives: Scores) -> tuple[Scores, Scores]:
    """For each positive: lo, the share of negatives above it, and hi, the share not below it."""
    values, at = np.unique(positives, return_inverse=True)
    # for each r, how many negatives have r values below them, and how many have r not above them
    below, not_above = np.zeros((2, len(values) + 1), np.int64)
    for part in negatives:
        ascending = np.sort(part)
        below += np.bincount(np.searchsorted(values, ascending), minlength=len(below))
        not_above += np.bincount(
            np.searchsorted(values, ascending, side="right"), minlength=len(below)
        )
    total = below.sum()
    lo, hi = ((total - counts.cumsum()[:-1]) / total for counts in (below, not_above))
    return lo[at], hi[at]


def _areas(lo: Scores, hi: Scores, limit: float = 1.0) -> Scores:
    """What each positive, at weight 1, adds to the area up to ``limit``."""
    whole = limit - (lo + hi) / 2
    cut = np.maximum(limit - lo, 0) ** 2 / (2 * np.maximum(hi - lo, np.finfo(float).tiny))
    return np.where(hi <= limit, whole, cut)


class BestF1(NamedTuple):
    """The threshold with the largest F1. Images with a score >= threshold are called defective."""

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


def iou(found: NDArray[np.bool_], truth: NDArray[np.bool_]) -> float:
    """Intersection over union of two masks. Of two that are empty it is 1.

    >>> iou(np.array([[True, True, False]]), np.array([[False, True, True]]))
    0.3333333333333333
    """
    union = int((found | truth).sum())
    return int((found & truth).sum()) / union if union else 1.0


def _counts(scores: Scores, is_defective: NDArray[np.bool_]) -> tuple[Scores, Scores, Scores]:
    """Per distinct score, falling: how many of each label are at or above it."""
    thresholds, group = np.unique(-scores, return_inverse=True)
    positives = np.bincount(group, weights=is_defective, minlength=len(thresholds))
    negatives = np.bincount(group, weights=~is_defective, minlength=len(thresholds))
    return -thresholds, positives.cumsum(), negatives.cumsum()
