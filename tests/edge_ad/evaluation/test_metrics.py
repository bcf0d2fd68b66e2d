import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import label
from sklearn.metrics import auc, f1_score, precision_recall_curve, roc_auc_score, roc_curve

from edge_ad.evaluation import metrics

# few distinct values: ties everywhere
SCORES = st.lists(st.tuples(st.integers(0, 6), st.booleans()), min_size=2, max_size=40).filter(
    lambda pairs: len({is_defective for _, is_defective in pairs}) == 2
)


def arrays(pairs):
    return np.array([float(s) for s, _ in pairs]), np.array([d for _, d in pairs])


@given(SCORES)
def test_auroc_is_scikit_learns(pairs):
    scores, is_defective = arrays(pairs)
    assert metrics.auroc(scores, is_defective) == pytest.approx(roc_auc_score(is_defective, scores))


@given(SCORES)
def test_best_f1_is_the_best_of_all_thresholds(pairs):
    scores, is_defective = arrays(pairs)
    best = metrics.best_f1(scores, is_defective)
    brute = max(f1_score(is_defective, scores >= t) for t in scores)
    assert best.f1 == pytest.approx(brute)
    assert f1_score(is_defective, scores >= best.threshold) == pytest.approx(best.f1)


@given(SCORES)
def test_curves_are_scikit_learns(pairs):
    scores, is_defective = arrays(pairs)
    fpr, tpr = metrics.roc(scores, is_defective)
    expected = roc_curve(is_defective, scores, drop_intermediate=False)
    assert np.allclose((fpr, tpr), expected[:2])
    _, precision, recall = metrics.precision_recall(scores, is_defective)
    expected_precision, expected_recall, _ = precision_recall_curve(is_defective, scores)
    assert np.allclose(precision[::-1], expected_precision[:-1])
    assert np.allclose(recall[::-1], expected_recall[:-1])


def brute_force_pro(maps, masks, limit):
    """The curve itself: every threshold, overlap averaged over regions, trapezoids up to limit."""
    negatives = np.concatenate([m[~k] for m, k in zip(maps, masks, strict=True)])
    regions = []
    for heat, mask in zip(maps, masks, strict=True):
        labels, count = label(mask, structure=np.ones((3, 3)))
        regions += [heat[labels == i + 1] for i in range(count)]
    thresholds = np.unique(np.concatenate([heat.ravel() for heat in maps]))[::-1]
    fpr = np.array([0.0] + [(negatives >= t).mean() for t in thresholds])
    pro = np.array([0.0] + [np.mean([(r >= t).mean() for r in regions]) for t in thresholds])
    first = int(np.argmax(fpr >= limit))  # where the curve reaches the limit
    at_limit = np.interp(limit, fpr[first - 1 : first + 1], pro[first - 1 : first + 1])
    return auc(np.append(fpr[:first], limit), np.append(pro[:first], at_limit)) / limit


@settings(max_examples=60)
@given(st.integers(0, 10_000), st.sampled_from([0.05, 0.3, 0.7, 1.0]), st.sampled_from([3, 1000]))
def test_pro_is_the_area_under_its_curve_even_with_ties(seed, limit, levels):
    rng = np.random.default_rng(seed)
    masks = [rng.random((9, 11)) < 0.15 for _ in range(3)] + [np.zeros((9, 11), bool)]
    masks[0][4, 4] = True
    maps = [rng.integers(0, levels, (9, 11)) + mask * rng.integers(0, 2) for mask in masks]
    maps = [heat.astype(np.float32) for heat in maps]
    found = metrics.pixel_metrics(maps, masks, limit=limit).pro
    assert found == pytest.approx(brute_force_pro(maps, masks, limit), abs=1e-9)


def test_pixel_auroc_is_scikit_learns():
    rng = np.random.default_rng(0)
    masks = [rng.random((20, 30)) < 0.1 for _ in range(4)]
    maps = [(rng.random((20, 30)) + 0.4 * mask).astype(np.float32) for mask in masks]
    flat = np.concatenate([m.ravel() for m in maps]), np.concatenate([m.ravel() for m in masks])
    assert metrics.pixel_metrics(maps, masks).auroc == pytest.approx(
        roc_auc_score(flat[1], flat[0])
    )


def test_a_small_region_counts_as_much_as_a_large_one():
    mask = np.zeros((10, 10), bool)
    mask[:6] = True  # found
    mask[9, 9] = True  # missed
    heat = mask.astype(np.float32)
    heat[9, 9] = -1
    found = metrics.pixel_metrics([heat], [mask])
    assert found.pro == pytest.approx(0.5)
    assert found.auroc > 0.98
