"""The slow truth: PatchCore's scoring written straight from the paper.

It takes distances to *every* bank row in float64, equations 6 and 7 as printed, torch's bilinear
interpolation and scipy's gaussian. Nothing here is shared with what is fast, so that comparing the
two means something.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from scipy.special import logsumexp
from torch.nn import functional

from edge_ad.methods.patchcore.bank import Bank
from edge_ad.methods.patchcore.settings import PatchCoreConfig
from edge_ad.networks.run import Run


class PatchCoreReference:
    """What the exported detector must agree with. See `edge_ad.methods.Reference`.

    Args:
        run: the network.
        bank: the memory bank.
        settings: the settings that the bank was fitted with.
    """

    map_in_unit_of_score = True

    def __init__(self, run: Run, bank: Bank, settings: PatchCoreConfig) -> None:
        self._run = run
        self._scoring = settings.scoring
        self._map_settings = settings.map
        self._bank = bank.features.astype(np.float64)  # (n, D)

    def trace(self, preprocessed: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:
        """See `edge_ad.methods.Reference.trace`."""
        features = self._run(preprocessed[np.newaxis])["features"][0]
        return self.trace_features(features, preprocessed.shape[:2])

    def trace_features(
        self, features: NDArray[np.float32], size: tuple[int, ...]
    ) -> dict[str, NDArray[Any]]:
        """The same trace, begun at ``(rows, cols, D)`` features, with a map of ``size``."""
        rows, cols, dimension = features.shape
        patches = features.reshape(-1, dimension).astype(np.float64)  # (q, D)
        # float64: float32's expansion of the square would cancel
        to_bank = torch.cdist(torch.from_numpy(patches), torch.from_numpy(self._bank))  # (q, n)
        k = self._scoring.neighbours
        nearest = to_bank.topk(k, dim=1, largest=False).indices.numpy()  # (q, k)
        each = np.linalg.norm(patches[:, None] - self._bank[nearest], axis=2)  # (q, k)
        distances = (each**2 if self._scoring.squared else each).mean(axis=1)  # (q,)
        return {
            "features": features,
            "distances": distances.astype(np.float32),
            "map": self._map(distances.reshape(rows, cols), size),
            "score": np.asarray(self._score(patches, distances, nearest[:, 0])),
        }

    def _score(
        self,
        patches: NDArray[np.float64],
        distances: NDArray[np.float64],
        nearest: NDArray[np.intp],
    ) -> float:
        test = distances.argmax()  # m_test*
        s = float(distances[test])  # equation 6
        b = self._scoring.reweight_neighbours
        if b is None:
            return s
        m = self._bank[nearest[test]]  # m*
        support = np.linalg.norm(self._bank - m, axis=1).argsort(kind="stable")[:b]  # N_b(m*)
        to_support = np.linalg.norm(self._bank[support] - patches[test], axis=1)
        to_nearest = np.linalg.norm(m - patches[test])
        return float((1 - np.exp(to_nearest - logsumexp(to_support))) * s)  # equation 7

    def _map(self, distances: NDArray[np.float64], size: tuple[int, ...]) -> NDArray[np.float32]:
        grid = torch.from_numpy(distances)[None, None]  # (1, 1, rows, cols)
        if self._map_settings.upsampling == "nearest":
            enlarged = functional.interpolate(grid, size=size, mode="nearest")
        else:
            enlarged = functional.interpolate(grid, size=size, mode="bilinear", align_corners=False)
        sigma, border = self._map_settings.blur_sigma_px, self._map_settings.border
        return np.asarray(gaussian_filter(enlarged[0, 0].numpy(), sigma, mode=border), np.float32)
