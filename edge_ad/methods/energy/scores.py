"""The scores of an image by name, and what they need to know of good images.

The paper (Genc et al. 2021) has two kinds: the energy, and a number made of its gradient, which
says as much or more.

==================  ================================================================
``energy``          the energy, from the median of good images, in their spread
``gradient-norm``   the Euclidean norm of dE/dx
``gradient-max``    the largest value of the map, which is blurred |dE/dx|
``gradient-mean``   the mean over the image of the sum over channels of |dE/dx|
==================  ================================================================

An energy has an arbitrary offset, and scores are 0 or more. So the energy's score is
ln(1 + exp(z)), where z = (E - median) / spread. It is about z where that is large, and the order of
images is that of their energies.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from edge_ad.methods.energy.settings import ScoreName
from edge_ad_runtime.heads.direct import GIVEN_SCORE

ENERGY, GRADIENT = "energy", "gradient"
"""What the head takes: the energy from the median of good images, and what becomes the map."""

_LEAST_SPREAD = 0.01  # of the median: below this rounding would be magnified
_OF_NORMAL = 1.4826  # the standard deviation of normal numbers, in median absolute deviations


@dataclass(frozen=True, kw_only=True, eq=False)
class GoodEnergies:
    """Where the energies of good images lie.

    Attributes:
        median: ``(1,)`` float32.
        spread: ``(1,)`` float32, above 0: the median absolute deviation, as the standard deviation
            that it would be of normal numbers.
    """

    median: NDArray[np.float32]
    spread: NDArray[np.float32]


def energies_of(energies: NDArray[np.float32]) -> GoodEnergies:
    """Where these energies ``(N,)`` of good images lie. One image is enough."""
    exact = energies.astype(np.float64)
    median = float(np.median(exact))
    spread = _OF_NORMAL * float(np.median(np.abs(exact - median)))
    least = max(_LEAST_SPREAD * abs(median), float(np.finfo(np.float32).tiny))
    return GoodEnergies(
        median=np.array([median], np.float32), spread=np.array([max(spread, least)], np.float32)
    )


class Scores(nn.Module):
    """The network's outputs to the head's: the tail of the exported graph.

    Args:
        good: where the energies of good images lie.
        score: which score the image has.
    """

    def __init__(self, good: GoodEnergies, score: ScoreName) -> None:
        super().__init__()
        self.median = nn.Buffer(torch.from_numpy(good.median))
        self.spread = nn.Buffer(torch.from_numpy(good.spread))
        self._score = score

    def forward(
        self, raw_energy: Tensor, gradient_magnitude: Tensor, gradient_norm: Tensor
    ) -> dict[str, Tensor]:
        """``energy`` and ``score`` ``(N,)``, and ``gradient`` ``(N, rows, cols)`` as it is.

        With the score ``gradient-max`` there is no ``score``: the head takes it from the map.
        """
        centred = functional.softplus((raw_energy - self.median) / self.spread, threshold=80)
        outputs = {ENERGY: centred, GRADIENT: gradient_magnitude}
        if self._score == "energy":
            outputs[GIVEN_SCORE] = centred
        elif self._score == "gradient-norm":
            outputs[GIVEN_SCORE] = gradient_norm
        elif self._score == "gradient-mean":
            outputs[GIVEN_SCORE] = gradient_magnitude.mean(dim=(1, 2))
        return outputs
