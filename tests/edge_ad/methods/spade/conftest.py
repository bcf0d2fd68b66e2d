"""A SPADE on the first two layers of an untrained ResNet18, whose weight file ends there."""

from pathlib import Path

import pytest
from safetensors.torch import save_file

from edge_ad import SpadeConfig, fit
from edge_ad.features.layers import pretrained


@pytest.fixture(scope="session")
def cut_weights(tmp_path_factory) -> str:
    backbone = pretrained(SpadeConfig(weights="untrained", layers=(1, 2), seed=3))
    path = tmp_path_factory.mktemp("weights") / "layers1-2.safetensors"
    save_file(backbone.state_dict(), path)
    return str(path)


@pytest.fixture(scope="session")
def config(cut_weights) -> SpadeConfig:
    """Not square; of 12 images fewer are compared with than there are."""
    return SpadeConfig(
        weights=cut_weights, backbone="resnet18", layers=(1, 2), size=(64, 80), gallery_neighbours=4
    )


@pytest.fixture(scope="session")
def good(parts) -> list[Path]:
    return sorted((parts / "train/good").iterdir())


@pytest.fixture(scope="session")
def spade(good, config):
    return fit(good, config)
