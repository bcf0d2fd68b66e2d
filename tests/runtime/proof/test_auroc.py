import numpy as np
import pytest

from edge_ad_runtime.proof.auroc import image_auroc


@pytest.mark.parametrize("seed", range(5))
def test_it_is_the_share_of_pairs_in_order(seed):
    rng = np.random.default_rng(seed)
    good, bad = rng.integers(0, 9, 30).astype(float), rng.integers(3, 12, 20).astype(float)
    pairs = [(b > g) + 0.5 * (b == g) for g in good for b in bad]
    assert image_auroc(good, bad) == pytest.approx(np.mean(pairs), rel=1e-12)


def test_scores_that_are_all_apart_give_1_and_all_the_same_a_half():
    assert image_auroc([1.0], [2.0, 3.0]) == 1
    assert image_auroc([2.0, 3.0], [1.0]) == 0
    assert image_auroc([1.0, 1.0], [1.0]) == 0.5
