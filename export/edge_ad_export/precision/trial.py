"""How much worse scores become through another network: a small fit on some held-out images."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import nn

from edge_ad.fitting.fitted import FittedDetector
from edge_ad.images.good import GoodImages
from edge_ad.methods.judge import Judge
from edge_ad.networks.run import Run
from edge_ad.synthetic.damage import with_damage

_QUERIED = 8  # images that are scored, with as many damaged copies. The others are learned from


class Trial:
    """Scores of some held-out images and damaged copies, after learning from the other images.

    Args:
        fitted: a fit with at least two held-out images.
        network: the float32 network, which `Method.lower` is given.
        run: the float32 network, which gives the scores that others are compared with.
        seed: draws the damage.
    """

    def __init__(self, fitted: FittedDetector, network: nn.Module, run: Run, seed: int) -> None:
        images = fitted.held_out
        queried = min(_QUERIED, len(images) // 2)
        self._fitted = fitted
        self._network = network
        self._learned_from = images[queried:]
        self._queries = list(with_damage(images[:queried], seed))
        self._expected = self._scores(run)

    def error(self, run: Run) -> float:
        """The mean relative error of the scores. Each network learns for itself."""
        return float(np.abs(self._scores(run) / self._expected - 1).mean())

    def _scores(self, run: Run) -> NDArray[np.float64]:
        method, config = self._fitted.method, self._fitted.config
        images = GoodImages.in_memory(self._learned_from, config.preprocessing)
        kept = method.gather(run, images, config, progress=False).kept
        judge = Judge(run, method.lower(self._network, kept, config), config.size)
        return np.array(list(judge.scores(self._queries)))
