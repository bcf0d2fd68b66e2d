"""The patch features that are searched: real ones, of magnetic tiles."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.harness.record import imagenet_resnet18
from edge_ad import PatchCoreConfig
from edge_ad.features.patches import build_network
from edge_ad.images.good import load_preprocessed
from edge_ad.networks.run import TorchRun
from edge_ad.synthetic.damage import with_damage
from edge_ad_runtime.heads.patch_search import FEATURES

FloatArray = NDArray[np.float32]

GRID = (28, 28)
FITTED = {384: 400, 1_536: 120}  # images, by width


class Extractor:
    """Patch features of images, 384 or 1,536 wide."""

    def __init__(self, width: int) -> None:
        sizes = (3,) if width == 384 else (1, 3, 5, 7)
        base = {"weights": imagenet_resnet18(), "resize_px": 256}
        configs = [PatchCoreConfig(**base, patch_size=p) for p in sizes]  # type: ignore[arg-type]
        self.preprocessing = configs[0].preprocessing
        self._runs = [TorchRun(build_network(config)) for config in configs]

    def of(self, image: Path | NDArray[np.uint8]) -> FloatArray:
        """``(784, width)`` of a file or of a preprocessed image."""
        pixels = load_preprocessed(image, self.preprocessing) if isinstance(image, Path) else image
        features = [run(pixels[np.newaxis])[FEATURES][0] for run in self._runs]
        return np.concatenate(features, axis=2).reshape(GRID[0] * GRID[1], -1)

    def held_out(self, paths: tuple[Path, ...]) -> Iterator[FloatArray]:
        """Features of good images, each followed by a damaged copy."""
        images = (load_preprocessed(path, self.preprocessing) for path in paths)
        for image in with_damage(images, seed=0):
            yield self.of(image)
