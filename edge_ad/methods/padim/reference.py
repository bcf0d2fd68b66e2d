"""The slow truth: Mahalanobis distances written straight from the paper.

The inverse covariance of each position is applied in float64 as equation 2 has it, one position
after the other. Torch's bilinear interpolation and scipy's gaussian make the map.
Nothing here is shared with what is fast, so that comparing the two means something.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from torch.nn import functional

from edge_ad.methods.padim.gaussians import Gaussians
from edge_ad.methods.padim.passes import EMBEDDING
from edge_ad.methods.padim.settings import PadimConfig
from edge_ad.networks.run import Run


class PadimReference:
    """What the exported detector must agree with. See `edge_ad.methods.Reference`.

    Args:
        run: the network.
        gaussians: what was learned of good images.
        settings: the settings that it was learned with.
    """

    map_in_unit_of_score = True

    def __init__(self, run: Run, gaussians: Gaussians, settings: PadimConfig) -> None:
        self._run = run
        self._gaussians = gaussians
        self._settings = settings

    def trace(self, preprocessed: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:
        """See `edge_ad.methods.Reference.trace`."""
        embedding = self._run(preprocessed[np.newaxis])[EMBEDDING][0]
        return self.trace_embedding(embedding, preprocessed.shape[:2])

    def trace_embedding(
        self, embedding: NDArray[np.float32], size: tuple[int, ...]
    ) -> dict[str, NDArray[Any]]:
        """The same trace, begun at ``(rows, cols, d)`` embeddings, with a map of ``size``."""
        rows, cols, d = embedding.shape
        distances = np.empty(rows * cols)
        for position, x in enumerate(embedding.reshape(-1, d).astype(np.float64)):
            y = x - self._gaussians.mean[position]
            distances[position] = np.sqrt(y @ self.inverse_times(position, y))
        heat = self._map(distances.reshape(rows, cols), size)
        return {
            "anomaly": distances.reshape(rows, cols).astype(np.float32),
            "map": heat.astype(np.float32),
            "score": np.asarray(heat.max()),
        }

    def inverse_times(self, position: int, y: NDArray[np.float64]) -> NDArray[np.float64]:
        """The inverse covariance of one position times ``y``, ``(d,)`` or ``(d, any)``.

        The root of few images is symmetric, so that it is applied twice.
        """
        factors = self._gaussians.factors[position].astype(np.float64)
        if not self._gaussians.are_of_few:
            return np.asarray(factors.T @ (factors @ y))
        once = y - factors.T @ (factors @ y)
        twice = once - factors.T @ (factors @ once)
        return np.asarray(twice / self._settings.epsilon)

    def inverse_covariance(self, position: int) -> NDArray[np.float64]:
        """``(d, d)``, of one position."""
        return self.inverse_times(position, np.eye(self._gaussians.mean.shape[1]))

    def _map(self, distances: NDArray[np.float64], size: tuple[int, ...]) -> NDArray[np.float64]:
        grid = torch.from_numpy(distances)[None, None]  # (1, 1, rows, cols)
        enlarged = functional.interpolate(grid, size=size, mode="bilinear", align_corners=False)
        settings = self._settings.map
        blurred = gaussian_filter(
            enlarged[0, 0].numpy(), settings.blur_sigma_px, mode=settings.border
        )
        return np.asarray(blurred, np.float64)
