import numpy as np
import pytest

from edge_ad import PatchCoreConfig
from edge_ad.methods.patchcore.bank import build_bank, nearest_bank_rows
from edge_ad_runtime.errors import FitError

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("n", [9, 20, 1300])  # fewer than the candidates; more than a block
def test_neighbours_are_the_nearest_rows_itself_first(n):
    bank = RNG.standard_normal((n, 12)).astype(np.float32)
    every = np.linalg.norm(bank[:, None].astype(np.float64) - bank[None], axis=2)
    expected = every.argsort(axis=1, kind="stable")[:, :9]
    assert np.array_equal(nearest_bank_rows(bank, 9), expected)


def test_neighbours_are_right_far_from_the_origin():
    bank = (RNG.standard_normal((300, 12)) + 500).astype(np.float32)
    every = np.linalg.norm(bank[:, None].astype(np.float64) - bank[None], axis=2)
    assert np.array_equal(nearest_bank_rows(bank, 5), every.argsort(axis=1)[:, :5])


def test_a_bank_too_small_for_equation_7_is_refused():
    config = PatchCoreConfig(coreset_fraction=0.001)
    with pytest.raises(FitError, match="would hold 1 patches, fewer than the 9 neighbours"):
        build_bank(np.zeros((5, 10, 10, 4), np.float32), config)


def test_a_random_bank_depends_on_the_seed_alone():
    features = RNG.standard_normal((5, 10, 10, 4)).astype(np.float32)

    def bank(seed):
        config = PatchCoreConfig(subsampler="random", seed=seed)
        return build_bank(features, config)[0].features.tolist()

    assert len(bank(0)) == 50
    assert bank(0) == bank(0) != bank(1)


def test_proxies_describe_the_patches_better_than_the_draw_they_began_at():
    centres = RNG.standard_normal((20, 8)) * 10
    patches = (centres[RNG.integers(20, size=3000)] + RNG.standard_normal((3000, 8))).astype("f4")

    def error(bank):  # equation 8, written again
        to_bank = np.linalg.norm(patches[:, None] - bank, axis=2).astype(np.float64)
        weights = np.exp(-to_bank) / np.exp(-to_bank).sum(axis=1, keepdims=True)
        return ((patches - weights @ bank) ** 2).sum(axis=1).mean()

    def bank(subsampler):
        config = PatchCoreConfig(subsampler=subsampler, coreset_fraction=0.02)
        return build_bank(patches.reshape(3, 20, 50, 8), config)[0].features

    assert bank("proxies").shape == (60, 8)
    assert bank("proxies").tolist() == bank("proxies").tolist()
    assert error(bank("proxies")) < 0.9 * error(bank("random"))


def test_the_whole_set_is_kept_in_order_at_fraction_1():
    features = RNG.standard_normal((2, 5, 5, 4)).astype(np.float32)
    bank, certificate = build_bank(features, PatchCoreConfig(coreset_fraction=1))
    assert (certificate.covering_radius, certificate.ratio) == (0, 1)
    assert np.array_equal(bank.features, features.reshape(50, 4))
    assert bank.grid.tolist() == [5, 5]
