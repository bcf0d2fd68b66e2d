"""The network reduces layers before it enlarges them. The paper does it the other way round."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from edge_ad import PadimConfig
from edge_ad.features.layers import pretrained
from edge_ad.images.good import GoodImages
from edge_ad.methods.padim.embedding import Embedding, build_network, restore_network
from edge_ad.methods.padim.reduction import Selection, draw, principal
from edge_ad.networks.run import TorchRun
from edge_ad_runtime.errors import ConfigError

SMALL = {"weights": "untrained", "backbone": "resnet18", "size": (64, 80)}
PIXELS = np.random.default_rng(0).integers(0, 256, (4, 64, 80, 3), np.uint8)


def config(**settings):
    return PadimConfig(**{**SMALL, **settings})


def build(settings):
    images = GoodImages.in_memory(PIXELS, settings.preprocessing)
    return build_network(settings, images, progress=False)


def all_channels(settings):
    """Layers 2 and 3 enlarged to layer 1's grid, then all channels side by side."""
    network = build(settings)
    with torch.inference_mode():
        first, *others = network.maps(torch.from_numpy(PIXELS))
        grid = first.shape[-2:]
        enlarged = [functional.interpolate(m, size=grid, mode="nearest") for m in others]
        return torch.cat([first, *enlarged], dim=1).permute(0, 2, 3, 1).numpy()


def test_channels_are_drawn_once_by_seed():
    one, same, other = (build(config(seed=seed)).reduction.channels for seed in (3, 3, 4))
    assert len(set(one.tolist())) == 100
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


@pytest.mark.parametrize("settings", [{}, {"dimensions": 5}, {"layers": (2, 3)}, {"taps": 2}])
def test_the_embedding_has_the_drawn_channels_of_the_enlarged_layers(settings):
    settings = config(**settings)
    network = build(settings)
    found = TorchRun(network)(PIXELS)["embedding"]
    expected = all_channels(settings)[..., network.reduction.channels.numpy()]
    np.testing.assert_array_equal(found, expected)


def test_layers_without_any_drawn_channel_are_left_out_and_the_grid_stays():
    settings = config()
    backbone = pretrained(settings)
    network = Embedding(backbone, Selection(backbone.channels, np.array([447, 200]))).eval()
    assert TorchRun(network)(PIXELS)["embedding"].shape == (4, 16, 20, 2)


def test_all_channels_may_be_kept():
    settings = config(reduction="all")
    found = TorchRun(build(settings))(PIXELS)["embedding"]
    np.testing.assert_array_equal(found, all_channels(settings))


def test_a_network_of_fewer_channels_keeps_them_all():
    assert len(build(config(layers=(1,))).reduction.channels) == 64


def test_principal_axes_are_those_of_numpy():
    settings = config(reduction="pca", dimensions=6)
    found = TorchRun(build(settings))(PIXELS)["embedding"].reshape(-1, 6)
    rows = all_channels(settings).reshape(-1, 448).astype(float)
    values, vectors = np.linalg.eigh(np.cov(rows.T))
    assert np.var(found, axis=0) == pytest.approx(values[::-1][:6], rel=1e-3)
    expected = rows @ vectors[:, ::-1][:, :6]
    signs = np.sign((expected * found).sum(axis=0))
    np.testing.assert_allclose(found * signs, expected, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize("settings", [{}, {"reduction": "pca", "dimensions": 6}])
def test_a_network_comes_back_from_its_state(settings):
    settings = config(**settings)
    network = build(settings)
    restored = restore_network(settings, network.state_dict())
    expected = TorchRun(network)(PIXELS)["embedding"]
    np.testing.assert_array_equal(TorchRun(restored)(PIXELS)["embedding"], expected)


def test_more_dimensions_than_channels_are_refused():
    with pytest.raises(ConfigError, match="dimensions is 449; resnet18 has 448 channels in the"):
        build(config(dimensions=449))


def test_batches_of_any_size_give_the_same_axes():
    rows = np.random.default_rng(0).standard_normal((6, 10, 5)).astype(np.float32)
    one = principal([3, 2], [rows], 2).axes
    many = principal([3, 2], list(rows[:, None]), 2).axes
    np.testing.assert_allclose(one.abs(), many.abs(), atol=1e-5)


def test_the_order_of_drawing_does_not_matter():
    drawn = draw([64, 128], 20, seed=1)
    shuffled = Selection([64, 128], drawn.channels.numpy()[::-1].copy())
    assert torch.equal(drawn.channels, shuffled.channels)
