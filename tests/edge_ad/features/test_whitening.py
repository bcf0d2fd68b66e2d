from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from edge_ad import FittedDetector, fit
from edge_ad.features.moments import moments
from edge_ad.features.patches import build_network
from edge_ad.features.store import features_of
from edge_ad.features.whitening import Whitening, learn_whitening, whiten_in_place
from edge_ad.images.good import GoodImages
from edge_ad.networks.run import TorchRun
from edge_ad_export import export

RNG = np.random.default_rng(0)
PATCHES = (RNG.standard_normal((20_000, 12)) @ RNG.standard_normal((12, 12)) + 5).astype(np.float32)


def test_moments_are_numpys_over_more_than_one_block():
    found = moments(PATCHES)
    assert found.mean == pytest.approx(PATCHES.mean(axis=0, dtype=np.float64), rel=1e-5)
    assert found.covariance == pytest.approx(np.cov(PATCHES, rowvar=False), rel=1e-3, abs=1e-3)


def test_whitened_patches_have_no_mean_and_unit_covariance():
    patches = PATCHES.copy()
    whiten_in_place(patches, learn_whitening(patches, shrinkage=0))
    assert np.abs(patches.mean(axis=0)).max() < 1e-3
    assert np.cov(patches, rowvar=False) == pytest.approx(np.eye(12), abs=1e-2)


def test_shrinkage_leaves_directions_that_hardly_vary_small():
    patches = PATCHES.copy()
    patches[:, 0] = 1e-6 * patches[:, 0]
    whiten_in_place(patches, learn_whitening(patches, shrinkage=0.1))
    assert patches.std(axis=0)[0] < 1e-3
    assert patches.std(axis=0)[1:].max() < 1.1


def test_constant_patches_stay_finite():
    patches = np.full((100, 4), 3, np.float32)
    whiten_in_place(patches, learn_whitening(patches))
    assert np.abs(patches).max() < 1


def test_the_convolution_is_what_was_done_to_the_patches():
    whitening = learn_whitening(PATCHES)
    expected = PATCHES[:20].copy()
    whiten_in_place(expected, whitening)
    maps = torch.from_numpy(PATCHES[:20].reshape(1, 4, 5, 12)).permute(0, 3, 1, 2)
    found = whitening(maps).permute(0, 2, 3, 1).reshape(20, 12).numpy()
    assert np.allclose(found, expected, atol=1e-4)


def test_until_it_is_learned_it_changes_nothing():
    maps = torch.rand(1, 12, 4, 5)
    assert torch.equal(Whitening(12)(maps), maps)


@pytest.fixture(scope="module", params=["default", "untrained"])
def whitened(request, parts, small) -> FittedDetector:
    return fit(
        parts / "train/good", replace(small, weights=request.param, layers=(2, 3), whiten=True)
    )


def test_the_bank_is_of_the_whitened_networks_features(whitened):
    paths = [Path(i.path) for i in whitened.record.images if not i.held_out]
    images = GoodImages(paths, whitened.config.preprocessing)
    features = features_of(TorchRun(whitened.network()), images, progress=False)
    patches = features.reshape(-1, whitened.kept.features.shape[1])
    to_bank = np.linalg.norm(whitened.kept.features[:5, None] - patches, axis=2).min(axis=1)
    assert to_bank.max() < 1e-3 * np.linalg.norm(patches, axis=1).mean()
    plain = features_of(TorchRun(build_network(whitened.config)), images, progress=False)
    assert not np.allclose(plain, features, atol=0.1)


def test_it_survives_its_folder_and_the_export_verifies(whitened, tmp_path):
    whitened.save(tmp_path / "plate.fit")
    loaded = FittedDetector.load(tmp_path / "plate.fit")
    assert torch.equal(loaded.state["whitening.weight"], whitened.state["whitening.weight"])
    report = export(loaded, tmp_path / "plate.edgead")
    assert report.verification.ok
    assert report.output_difference < 1e-4
