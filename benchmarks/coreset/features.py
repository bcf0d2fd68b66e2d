"""The patch features that a coreset is chosen from: real ones, of magnetic tiles."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmarks.harness.record import data_root, imagenet_resnet18
from edge_ad import PatchCoreConfig
from edge_ad.features.patches import build_network
from edge_ad.features.store import features_of
from edge_ad.images.good import GoodImages
from edge_ad.networks.run import TorchRun

IMAGES = 320


def magnetic_tile_features() -> NDArray[np.float32]:
    """``(250880, 384)`` float32."""
    config = PatchCoreConfig(weights=imagenet_resnet18(), resize_px=256)
    paths = sorted((data_root() / "data/magnetic-tile/MT_Free/Imgs").glob("*.jpg"))[:IMAGES]
    run = TorchRun(build_network(config))
    features = features_of(run, GoodImages(paths, config.preprocessing), progress=True)
    return features.reshape(-1, features.shape[-1])
