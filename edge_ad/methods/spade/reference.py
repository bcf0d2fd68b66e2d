"""The slow truth: SPADE written straight from the paper, one good image after the other.

It takes all distances in float64, equation 2 as printed, torch's bilinear interpolation and scipy's
gaussian. Nothing here is shared with what is fast, so that comparing the two means something.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from torch.nn import functional

from edge_ad.methods.spade.gallery import GoodGallery
from edge_ad.methods.spade.settings import SpadeConfig
from edge_ad.networks.run import Run


class SpadeReference:
    """What the exported detector must agree with. See `edge_ad.methods.Reference`.

    Args:
        run: the network.
        kept: the good images. Their features are float16, and that is what they are here too.
        settings: the settings that they were gathered with.
    """

    def __init__(self, run: Run, kept: GoodGallery, settings: SpadeConfig) -> None:
        self._run = run
        self._kept = kept
        self._settings = settings
        self.map_in_unit_of_score = settings.score == "map"

    def trace(self, preprocessed: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:
        """See `edge_ad.methods.Reference.trace`."""
        outputs = {name: v[0] for name, v in self._run(preprocessed[np.newaxis]).items()}
        difference = self._kept.pooled.astype(np.float64) - outputs["pooled"]
        image_distances = (difference**2).sum(axis=1)  # (N,)
        order = np.argsort(image_distances, kind="stable")
        nearest = order[: self._settings.gallery_neighbours]  # N_K of equation 1
        maps = {
            f"{name}_distances": self._distances(outputs[name], values[nearest])
            for name, values in self._kept.layers.items()
        }
        heat = self._map(list(maps.values()), preprocessed.shape[:2])
        trace = {
            "pooled": outputs["pooled"],
            **{name: outputs[name] for name in self._kept.layers},
            "image_distances": image_distances,
            **{name: values.astype(np.float32) for name, values in maps.items()},
        }
        return {
            **trace,
            "map": heat.astype(np.float32),
            "score": np.asarray(self._score(image_distances[nearest], heat)),
        }

    def _distances(
        self, features: NDArray[np.float32], good: NDArray[np.float16]
    ) -> NDArray[np.float64]:
        """The mean distance of each position to its kappa nearest in the gallery (section 3.3)."""
        rows, cols, channels = features.shape
        kappa = self._settings.pixel_neighbours
        queries = torch.from_numpy(features.reshape(-1, channels).astype(np.float64))
        outside = torch.from_numpy(self._outside(rows, cols))  # (q, q)
        nearest = torch.full((len(queries), kappa), torch.inf, dtype=torch.float64)
        for image in good:
            gallery = torch.from_numpy(image.reshape(-1, channels).astype(np.float64))
            distances = torch.cdist(queries, gallery)
            if self._settings.window is not None:
                distances = distances.masked_fill(outside, torch.inf)
            of_image = distances.topk(min(kappa, len(gallery)), dim=1, largest=False).values
            found = torch.cat([nearest, of_image], dim=1)
            nearest = found.topk(kappa, dim=1, largest=False).values
        return np.asarray(nearest.mean(dim=1).numpy().reshape(rows, cols))

    def _outside(self, rows: int, cols: int) -> NDArray[np.bool_]:
        """For each pair of positions, whether one is outside the other's window."""
        window = self._settings.window
        y, x = (axis.ravel() for axis in np.mgrid[:rows, :cols])
        if window is None:
            return np.zeros((len(y), len(y)), bool)
        apart = np.maximum(abs(y[:, None] - y), abs(x[:, None] - x))
        return np.asarray(apart > window)

    def _map(self, layers: list[NDArray[np.float64]], size: tuple[int, ...]) -> NDArray[np.float64]:
        """The mean of the layers' distances, each enlarged, and then blurred."""
        enlarged = [
            functional.interpolate(
                torch.from_numpy(values)[None, None], size=size, mode="bilinear"
            )[0, 0].numpy()
            for values in layers
        ]
        settings = self._settings.map
        mean = sum(enlarged) / len(enlarged)
        return np.asarray(gaussian_filter(mean, settings.blur_sigma_px, mode=settings.border))

    def _score(self, sq_distances: NDArray[np.float64], heat: NDArray[np.float64]) -> float:
        if self._settings.score == "map":
            return float(heat.max())
        if self._settings.convention == "byungjae89":
            return float(np.sqrt(sq_distances).mean())
        return float(sq_distances.mean())  # equation 2
