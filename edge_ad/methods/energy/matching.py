"""Denoising score matching: the energy learns to say which noise has been added to good images.

Noise of standard deviation s is added to a good image, and the gradient of the energy is to be that
noise (Vincent 2011):

    loss = mean of |dE/dx(x + s n) - s n|^2 / s^2,    n standard normal.

For a single s the best energy is s^2 times the negative log-density of good images with noise
(Saremi & Hyvaerinen 2019), so that its gradient points away from good images. With s drawn from a
range, as here, the energy learns both what is a little and what is far off. The published loss
divides the noise by its variance instead, s^2 dE/dx = s n, and so the larger a departure from good
images is, the smaller its gradient is. This is good for sampling, and for a map it is the wrong way
around.

No sampler is needed, so that the training takes minutes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from edge_ad.methods.energy.local_energy import LocalEnergy
from edge_ad.methods.energy.network import inside
from edge_ad.methods.energy.settings import EnergyConfig

_LEAST_WATCHED = 16


class Matching:
    """See `edge_ad.methods.energy.training.Trainer`."""

    def __init__(self, energy: LocalEnergy, margin: int, settings: EnergyConfig) -> None:
        self._energy = energy
        self._margin = margin
        self._least, self._most = settings.least_noise, settings.most_noise

    def loss(self, good: Tensor, rng: np.random.Generator) -> Tensor:
        """See `Trainer.loss`."""
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        low, high = math.log(self._least), math.log(self._most)
        s = torch.empty(len(good), 1, 1, 1).uniform_(low, high, generator=generator).exp()
        noise = (s * torch.randn(good.shape, generator=generator)).to(good.device)
        _, gradient = self._energy.energy_and_gradient(good + noise)
        off = inside(gradient - noise, self._margin) / s.to(good.device)
        return off.square().mean()

    def after_step(self) -> None:
        """See `Trainer.after_step`. Nothing is to be done."""

    def after_epoch(self) -> str:
        """See `Trainer.after_epoch`. Nothing but the loss tells of a divergence."""
        return ""

    @torch.no_grad()
    def watch(self, watched: Sequence[Tensor], rng: np.random.Generator) -> float:
        """The mean loss of the watched images, with the same noise after each epoch.

        Few images are looked at several times, each time with other noise.
        """
        times = max(1, _LEAST_WATCHED // len(watched))
        losses = [self.loss(batch, rng) for batch in watched for _ in range(times)]
        return float(torch.stack(losses).mean())

    def state(self) -> dict[str, Tensor]:
        """See `Trainer.state`. There is none."""
        return {}

    def restore(self, state: dict[str, Tensor]) -> None:
        """See `Trainer.restore`."""
