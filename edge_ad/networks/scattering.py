r"""A scattering network: oriented wavelets, modulus, local averages and maxima. Nothing is trained.

Mallat, "Group invariant scattering" (2012); Bruna & Mallat, "Invariant scattering convolution
networks" (2013). With wavelets psi_l at the orientations l and the low-pass phi, both dilated by
2^j at scale j,

    U x (j, l) = | x * psi_{j,l} |         the energy of an edge or a line       (2013, section 2.1)
    S x (j, l) = U x (j, l) * phi          its average, stable to small shifts   (2013, equation 6)

What is small and rare is lost in an average, so each energy's local maximum is kept beside it. The
modulus does not tell a dark line from a bright one, so the maxima of the even part's two signs are
kept too. Square roots of the image and of the energies even out light and dark, strong and weak,
because a sensor's noise grows as the root of the light. (Bruna & Mallat take logarithms of the
energies.) Colour is seen as the eye sees it, in opposites: red and green, blue and yellow.

A dilated filter is the same filter on a smaller image, so all of it is a cascade of halvings.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from edge_ad.networks.normalisation import IMAGENET, IMAGENET_MEAN, IMAGENET_STD

_ORIENTATIONS = 8
_RADIUS_PX = 4  # of the wavelets: 9 x 9
_SIGMA_PX, _SLANT, _FREQUENCY = 1.0, 0.5, 0.6 * math.pi
_OPPONENTS = ((1 / 3, 1 / 3, 1 / 3), (1 / 2, -1 / 2, 0), (1 / 4, 1 / 4, -1 / 2))
_ENERGY_FLOOR, _ROOT_FLOOR = 1e-6, 1e-4  # of images in 0-1: below what a sensor's noise gives


class Scattering(nn.Module):
    """The scattering, cut into layers as the ResNets are.

    Layer j holds every scale up to j + 1, on the grid at 1 / 2^(j+1) of the input.

    Args:
        layers: the layers whose maps `forward` gives. ``channels`` says how many channels each map
            has.
    """

    normalisation = IMAGENET

    def __init__(self, layers: Sequence[int]) -> None:
        super().__init__()
        self.layers = tuple(layers)
        per_scale = 4 * _ORIENTATIONS + 4  # three and one of luminance, two of each opponent
        self.channels = [3 + per_scale * (layer + 2) for layer in layers]
        self.mean = nn.Buffer(torch.tensor(IMAGENET_MEAN).view(3, 1, 1))
        self.std = nn.Buffer(torch.tensor(IMAGENET_STD).view(3, 1, 1))
        self.opponents = nn.Buffer(torch.tensor(_OPPONENTS)[:, :, None, None])  # (3, 3, 1, 1)
        self.wavelets = nn.Buffer(torch.from_numpy(morlets())[:, None])  # (2 L, 1, 9, 9)
        binomial = torch.tensor([1.0, 4, 6, 4, 1]) / 16
        self.low_pass = nn.Buffer(torch.outer(binomial, binomial)[None, None])  # (1, 1, 5, 5)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Normalised images ``(N, 3, H, W)`` to a ``(N, C, h, w)`` map per layer."""
        light = torch.relu(x * self.std + self.mean)  # 0-1
        image = functional.conv2d(torch.sqrt(light + _ROOT_FLOOR), self.opponents)
        averages, maxima = self._scale(image)
        maps = []
        for layer in range(max(self.layers) + 1):
            image, averages = self._halve(image), self._halve(averages)
            maxima = functional.max_pool2d(maxima, 3, 2, padding=1)
            new_averages, new_maxima = self._scale(image)
            averages = torch.cat([averages, new_averages], dim=1)
            maxima = torch.cat([maxima, new_maxima], dim=1)
            if layer in self.layers:
                energies = torch.cat([averages, maxima], dim=1)
                maps.append(torch.cat([image, torch.sqrt(energies + _ROOT_FLOOR)], dim=1))
        return maps

    def _scale(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """The maps of one scale that are averaged, and those whose maxima are taken."""
        padded = _padded(image, _RADIUS_PX)
        energy, even = self._wave(padded[:, :1])
        colours = [self._wave(padded[:, i : i + 1])[0] for i in (1, 2)]
        averages = [energy, *(colour.mean(dim=1, keepdim=True) for colour in colours)]
        maxima = [energy, *(colour.amax(dim=1, keepdim=True) for colour in colours)]
        signs = [torch.relu(even), torch.relu(-even)]
        return torch.cat(averages, dim=1), torch.cat([*maxima, *signs], dim=1)

    def _wave(self, channel: Tensor) -> tuple[Tensor, Tensor]:
        """Modulus and even part, ``(N, L, h, w)``, of one padded channel's wavelet responses."""
        response = functional.conv2d(channel, self.wavelets)
        even, odd = response[:, :_ORIENTATIONS], response[:, _ORIENTATIONS:]
        return torch.sqrt(even * even + odd * odd + _ENERGY_FLOOR), even

    def _halve(self, maps: Tensor) -> Tensor:
        """Low-pass ``(N, C, h, w)`` and keep every second row and column, rounded up."""
        channels = maps.shape[1]
        kernel = self.low_pass.expand(channels, 1, 5, 5)
        return functional.conv2d(_padded(maps, 2), kernel, stride=2, groups=channels)


def morlets() -> NDArray[np.float32]:
    """Morlet wavelets (2013, section 2.1), real parts and then imaginary ones: ``(2 L, 9, 9)``.

    psi(u) = c (exp(i xi.u) - k) exp(-|u|^2 / 2 sigma^2), elongated along the line it answers to by
    1 / slant. k is such that the wavelet sums to zero, so a constant is not seen. c is such that
    its modulus sums to 1.
    """
    y, x = np.mgrid[-_RADIUS_PX : _RADIUS_PX + 1, -_RADIUS_PX : _RADIUS_PX + 1].astype(np.float64)
    waves = []
    for angle in np.pi * np.arange(_ORIENTATIONS) / _ORIENTATIONS:
        across = x * np.cos(angle) + y * np.sin(angle)
        along = y * np.cos(angle) - x * np.sin(angle)
        envelope = np.exp(-(across**2 + (_SLANT * along) ** 2) / (2 * _SIGMA_PX**2))
        wave = envelope * np.exp(1j * _FREQUENCY * across)
        wave -= envelope * wave.sum() / envelope.sum()
        waves.append(wave / np.abs(wave).sum())
    return np.concatenate([np.real(waves), np.imag(waves)]).astype(np.float32)


def _padded(maps: Tensor, pixels: int) -> Tensor:
    """Repeat the border, so that what is constant stays constant up to the edge."""
    return functional.pad(maps, (pixels,) * 4, mode="replicate")
