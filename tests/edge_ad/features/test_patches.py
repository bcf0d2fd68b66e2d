import numpy as np
import pytest
import torch

from edge_ad import PatchCoreConfig
from edge_ad.features.patches import build_network
from edge_ad.networks.run import TorchRun
from edge_ad_runtime.errors import FitError

IMAGES = np.random.default_rng(0).integers(0, 256, (2, 64, 96, 3), dtype=np.uint8)


def features(**settings):
    config = PatchCoreConfig(weights="untrained", size=(64, 96), **settings)
    return TorchRun(build_network(config))(IMAGES)["features"]


@pytest.mark.parametrize(
    ("layers", "grid", "dimension"),
    [
        ((1,), (16, 24), 64),
        ((2, 3), (8, 12), 384),
        ((1, 2, 3, 4), (16, 24), 960),
        ((3,), (4, 6), 256),
    ],
)
def test_the_grid_is_the_shallowest_layers(layers, grid, dimension):
    assert features(layers=layers).shape == (2, *grid, dimension)


@pytest.mark.parametrize(
    ("backbone", "dimension"),
    [
        ("resnet50", 1536),
        ("wide_resnet50_2", 1536),
        ("resnext101_32x8d", 1536),
        ("densenet201", 2304),
    ],
)
def test_wider_networks_give_their_widths(backbone, dimension):
    assert features(backbone=backbone).shape == (2, 8, 12, dimension)


@pytest.mark.parametrize("p", [1, 3, 5])
def test_a_patch_is_the_mean_of_its_neighbourhood_with_zeros_beyond_the_border(p):
    plain, pooled = features(layers=(2,), patch_size=1), features(layers=(2,), patch_size=p)
    padded = np.pad(plain, ((0, 0), (p // 2,) * 2, (p // 2,) * 2, (0, 0)))
    for row, col in ((0, 0), (3, 5), (7, 11)):
        expected = padded[:, row : row + p, col : col + p].mean(axis=(1, 2))
        assert np.allclose(pooled[:, row, col], expected, rtol=1e-4, atol=1e-5)


def test_one_image_alone_has_the_features_it_has_in_a_batch():
    network = build_network(PatchCoreConfig(weights="untrained", size=(64, 96)))
    alone = TorchRun(network)(IMAGES[1:])["features"]
    assert np.allclose(alone[0], TorchRun(network)(IMAGES)["features"][1], rtol=1e-4, atol=1e-5)


def test_features_that_are_not_finite_are_refused():
    network = build_network(PatchCoreConfig(weights="untrained", layers=(1,), size=(64, 96)))
    with torch.no_grad():
        network.backbone.bn1.running_var[0] = -1
    with pytest.raises(FitError, match="NaN or infinite features"):
        TorchRun(network)(IMAGES)
