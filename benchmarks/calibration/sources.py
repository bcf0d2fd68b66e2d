"""The images that good ones are drawn from, as patch features.

A draw needs a bank of its own, and there are thousands of draws. So every image goes through the
network once, at 112 px. Its features are projected to 64 dimensions at random, which keeps their
distances but for a few percent, and every second patch is used, in rows and in columns. Detectors
are worse for it. What is asked here is whether their rates hold.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.harness.record import data_root, imagenet_resnet18
from edge_ad import PatchCoreConfig
from edge_ad.features.patches import build_network
from edge_ad.features.store import features_of
from edge_ad.images.good import GoodImages
from edge_ad.networks.run import TorchRun
from edge_ad.recipes.generated_parts import KINDS

TILES = "magnetic tile"
SOURCES = (TILES, "printed", "cast")
GENERATED_GOOD, DEFECTIVE = 300, 120
WIDTH = 64  # of the projected features


def config() -> PatchCoreConfig:
    """The settings of every bank: the defaults, but for the size."""
    return PatchCoreConfig(weights=imagenet_resnet18(), backbone="resnet18", size=(112, 112))


@dataclass(frozen=True, kw_only=True)
class Source:
    """Patch features ``(N, rows, cols, WIDTH)`` float32 of good and of defective images."""

    good: NDArray[np.float32]
    defective: NDArray[np.float32]


def read_source(name: str, cache: Path) -> Source:
    """A source by its name, from the cache where it is there."""
    file = cache / f"{name}.npz"
    if not file.exists():
        good, defective = _images(name)
        cache.mkdir(parents=True, exist_ok=True)
        np.savez(file, good=_features(good), defective=_features(defective))
    with np.load(file) as arrays:
        good, defective = (arrays[key][:, ::2, ::2] for key in ("good", "defective"))
        return Source(good=np.ascontiguousarray(good), defective=np.ascontiguousarray(defective))


def _images(name: str) -> tuple[GoodImages, GoodImages]:
    rng = np.random.default_rng(0)
    preprocessing = config().preprocessing
    if name != TILES:
        good_drawn, defective_drawn = (
            np.stack([preprocessing.apply(KINDS[name](rng, is_bad)) for _ in range(count)])
            for is_bad, count in ((False, GENERATED_GOOD), (True, DEFECTIVE))
        )
        return (
            GoodImages.in_memory(good_drawn, preprocessing),
            GoodImages.in_memory(defective_drawn, preprocessing),
        )
    root = data_root() / "data/magnetic-tile"
    good = sorted(root.glob("MT_Free/Imgs/*.jpg"))
    defective = sorted(set(root.glob("MT_*/Imgs/*.jpg")) - set(good))
    drawn = sorted(rng.choice(len(defective), DEFECTIVE, replace=False))
    return (
        GoodImages(good, preprocessing),
        GoodImages([defective[i] for i in drawn], preprocessing),
    )


def _features(images: GoodImages) -> NDArray[np.float32]:
    """The projected features. The projection is the same for all."""
    run = TorchRun(build_network(config()))
    features = features_of(run, images, progress=True)
    onto = np.random.default_rng(0).standard_normal((features.shape[-1], WIDTH)) / np.sqrt(WIDTH)
    return np.asarray(features @ onto.astype(np.float32))
