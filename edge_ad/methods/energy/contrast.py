"""Maximum likelihood by sampling (contrastive divergence), the way of the paper.

With p(x) proportional to exp(-E(x)), the gradient of the negative log-likelihood is the mean over
good images of that of E, minus the mean over samples of p. The samples are drawn by Langevin
dynamics,

    x <- x - a clip(dE/dx) + b n,    n standard normal,

from where they were left the last time: a buffer keeps the chains (Tieleman 2008). One in twenty
begins anew, at a good image with a patch of noise in it, near to where defects are. The energies'
squares are a part of the loss, which keeps them near 0, and the gradient is clipped (both Du &
Mordatch 2019). The largest singular value of each convolution's weights is kept at 1 or below after
each step (Gouk et al. 2021). That does what spectral normalisation does, and leaves nothing to be
removed before an export.

A sampler that is too weak shows in the energies: samples that cannot follow are pushed up more and
more. Energies are of a value here, so that a difference of 1 is twice the energy that a standard
normal value has. No useful energy tells samples from good images by that much.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from edge_ad.methods.energy.local_energy import LocalEnergy
from edge_ad.methods.energy.settings import EnergyConfig

_CHAINS = 64
_FRESH = 0.05  # the share of chains that begin anew in each step
_DATA_NOISE = 0.03  # smooths good images (Grathwohl et al. 2020)
_PATCH_SHARE = (0.15, 0.5)  # of the side of the image
_MOST_GAP = 1.0
_LARGEST_SINGULAR_VALUE = 1.0
_TINY = 1e-12


class Contrast:
    """See `edge_ad.methods.energy.training.Trainer`.

    Args:
        energy: the energy that is trained.
        good: ``(n, C, h, w)``, the good images that chains begin at.
        settings: the settings.
    """

    def __init__(self, energy: LocalEnergy, good: Sequence[Tensor], settings: EnergyConfig) -> None:
        self._energy = energy
        self._good = good
        self._settings = settings
        rng = np.random.default_rng((settings.seed, 1))
        self._chains = torch.cat([self._begun(rng) for _ in range(_CHAINS)])
        self._gaps: list[float] = []

    def loss(self, good: Tensor, rng: np.random.Generator) -> Tensor:
        """See `Trainer.loss`."""
        chosen = rng.permutation(_CHAINS)[: len(good)]
        samples = self._chains[chosen]
        for i in np.flatnonzero(rng.random(len(samples)) < _FRESH):
            samples[i] = self._begun(rng)[0]
        samples = self._walked(samples, rng)
        self._chains[chosen] = samples
        of_good = self._mean_energy(good + _DATA_NOISE * _normal(good, rng))
        of_samples = self._mean_energy(samples)
        gap = (of_samples.mean() - of_good.mean()).detach()
        self._gaps.append(float(gap))
        squares = of_good.square().mean() + of_samples.square().mean()
        return of_good.mean() - of_samples.mean() + self._settings.energy_penalty * squares

    @torch.no_grad()
    def after_step(self) -> None:
        """See `Trainer.after_step`. Weights are kept small, see the module."""
        energy = self._energy
        for convolution in (energy.linear, *energy.convolutions, *energy.residuals):
            weight = convolution.weight
            norm = torch.linalg.matrix_norm(weight.flatten(1), ord=2)
            weight /= (norm / _LARGEST_SINGULAR_VALUE).clamp(min=1)

    def after_epoch(self) -> str:
        """See `Trainer.after_epoch`."""
        gap = float(np.mean(self._gaps))
        self._gaps.clear()
        if abs(gap) <= _MOST_GAP:
            return ""
        return (
            f"the energies of samples and of good images are {gap:.3g} apart for each value, more "
            f"than {_MOST_GAP:g}, as samples do not follow; give more --langevin-steps than "
            f"{self._settings.langevin_steps}, or a smaller --learning-rate"
        )

    @torch.no_grad()
    def watch(self, watched: Sequence[Tensor], rng: np.random.Generator) -> float:
        """How many times the energy grows by a patch of noise: minus the logarithm, as a mean.

        There is no likelihood to watch. This needs no scale, and is of what the energy is for.
        """
        found = []
        for batch in watched:
            damaged = torch.cat([_with_patch(image[None], rng) for image in batch])
            pair = [self._energy(x).clamp(min=_TINY).log() for x in (batch, damaged)]
            found.append(pair[0] - pair[1])
        return float(torch.cat(found).mean())

    def state(self) -> dict[str, Tensor]:
        """See `Trainer.state`. They are the chains."""
        return {"chains": self._chains}

    def restore(self, state: dict[str, Tensor]) -> None:
        """See `Trainer.restore`."""
        self._chains = state["chains"]

    def _mean_energy(self, x: Tensor) -> Tensor:
        """The energy of a value, ``(N,)``."""
        energy: Tensor = self._energy(x)
        return energy / x[0].numel()

    def _begun(self, rng: np.random.Generator) -> Tensor:
        """A good image with a patch of noise in it, ``(1, C, h, w)``."""
        return _with_patch(self._good[int(rng.integers(len(self._good)))][None], rng)

    @torch.no_grad()
    def _walked(self, x: Tensor, rng: np.random.Generator) -> Tensor:
        """The samples after their steps of Langevin dynamics."""
        settings = self._settings
        most = settings.langevin_clip
        for _ in range(settings.langevin_steps):
            _, gradient = self._energy.energy_and_gradient(x)
            x = x - settings.langevin_step_size * gradient.clamp(-most, most)
            x = x + settings.langevin_noise * _normal(x, rng)
        return x


def _with_patch(image: Tensor, rng: np.random.Generator) -> Tensor:
    """A copy of ``(1, C, h, w)`` whose values in one rectangle are standard normal noise."""
    _, channels, height, width = image.shape
    share = rng.uniform(*_PATCH_SHARE, 2)
    rows, cols = max(1, int(share[0] * height)), max(1, int(share[1] * width))
    top, left = rng.integers(height - rows + 1), rng.integers(width - cols + 1)
    out = image.clone()
    patch = out[:, :, top : top + rows, left : left + cols]
    patch.copy_(_normal(patch, rng))
    return out


def _normal(like: Tensor, rng: np.random.Generator) -> Tensor:
    """Standard normal numbers, the same on every device."""
    generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
    return torch.randn(like.shape, generator=generator).to(like.device)
