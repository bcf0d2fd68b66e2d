"""The slow truth: scores and map written down plainly, from the network's outputs on.

Torch's bilinear interpolation and scipy's gaussian make the map. Nothing here is shared with what
is fast, so that comparing the two means something. (That the network's gradient is that of its
energy is for a test with automatic differentiation.)
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from torch.nn import functional

from edge_ad.methods.energy.network import MAGNITUDE, NORM, RAW_ENERGY
from edge_ad.methods.energy.scores import GoodEnergies
from edge_ad.methods.energy.settings import EnergyConfig
from edge_ad.networks.run import Run


class EnergyReference:
    """What the exported detector must agree with. See `edge_ad.methods.Reference`.

    Args:
        run: the network.
        good: where the energies of good images lie.
        settings: the settings that it was learned with.

    Attributes:
        map_in_unit_of_score: whether the score is the map's largest value.
    """

    def __init__(self, run: Run, good: GoodEnergies, settings: EnergyConfig) -> None:
        self._run = run
        self._median = float(good.median[0])
        self._spread = float(good.spread[0])
        self._settings = settings
        self.map_in_unit_of_score = settings.score == "gradient-max"

    def trace(self, preprocessed: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:
        """See `edge_ad.methods.Reference.trace`."""
        outputs = self._run(preprocessed[np.newaxis])
        gradient = outputs[MAGNITUDE][0]
        z = (float(outputs[RAW_ENERGY][0]) - self._median) / self._spread
        energy = max(z, 0.0) + math.log1p(math.exp(-abs(z)))  # ln(1 + exp(z))
        heat = self._map(gradient.astype(np.float64), preprocessed.shape[:2])
        scores = {
            "energy": energy,
            "gradient-norm": float(outputs[NORM][0]),
            "gradient-max": float(heat.max()),
            "gradient-mean": float(gradient.astype(np.float64).mean()),
        }
        return {
            "energy": np.asarray(energy, np.float32),
            "gradient": gradient,
            "map": heat.astype(np.float32),
            "score": np.asarray(scores[self._settings.score]),
        }

    def _map(self, gradient: NDArray[np.float64], size: tuple[int, ...]) -> NDArray[np.float64]:
        grid = torch.from_numpy(gradient)[None, None]  # (1, 1, rows, cols)
        enlarged = functional.interpolate(grid, size=size, mode="bilinear", align_corners=False)
        sigma = self._settings.map.blur_sigma_px
        return np.asarray(gaussian_filter(enlarged[0, 0].numpy(), sigma, mode="reflect"))
