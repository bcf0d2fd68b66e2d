import numpy as np
import pytest

from edge_ad.synthetic.damage import KINDS, damage
from edge_ad.synthetic.parts import DEFECTS, draw_part


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(256, 320), (64, 200), (40, 40)])
def test_damage_changes_the_image_inside_its_mask_most(kind, shape):
    image = np.random.default_rng(0).integers(90, 160, (*shape, 3), dtype=np.uint8)
    damaged, mask = damage(image, kind, np.random.default_rng(1))
    assert (damaged.shape, damaged.dtype, mask.shape) == (image.shape, np.uint8, shape)
    change = np.abs(damaged.astype(int) - image).mean(axis=2)
    assert 0 < mask.mean() < 0.2
    assert change[mask].mean() > 10 * change[~mask].mean()


def test_the_original_is_left_alone():
    image = draw_part(np.random.default_rng(0)).image
    before = image.copy()
    for kind in KINDS:
        damage(image, kind, np.random.default_rng(0))
    assert np.array_equal(image, before)


@pytest.mark.parametrize("defect", DEFECTS)
def test_a_defective_part_differs_from_the_same_part_where_its_mask_says(defect):
    good, bad = (draw_part(np.random.default_rng(5), d) for d in (None, defect))
    assert not good.mask.any()
    assert 0.0005 < bad.mask.mean() < 0.1


def test_no_two_good_parts_are_alike_but_the_same_seed_is():
    parts = [draw_part(np.random.default_rng(seed)).image for seed in (0, 0, 1)]
    assert np.array_equal(parts[0], parts[1])
    assert np.abs(parts[0].astype(int) - parts[2]).mean() > 3
