r"""The flow: an invertible network from the features of several scales to standard normal latents.

It is a U. The coarsest features go through a stage of steps. A part of what comes out goes up to
the next finer scale, where it joins that scale's features, and the rest are the latents of this
scale (Tailanian et al. 2022, section 3). A step is an affine coupling in the manner of Glow
(Kingma & Dhariwal 2018).

As the flow is invertible, the density of features x is that of their latents z times the volume
that x is stretched by:

    -ln p(x) = sum over scales of \|z\|^2 / 2 - log det + a constant.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from edge_ad_runtime.errors import ConfigError

_CLAMP = 2.0  # log scales of a coupling are within +-2
_DAMPING = 0.1  # of what a coupling's network says, so that a flow begins near the identity
_SHARE_UP = 2  # every second channel goes up


class Step(nn.Module):
    """An affine coupling, then a scale and an offset per channel, then a fixed permutation.

    Args:
        channels: C, 2 or more.
        kernel: the side of the coupling's convolutions.
        permutation: ``(C,)``. Output channel i is channel ``permutation[i]``.

    The first C - C // 2 channels pass unchanged, and tell how the others are transformed.
    """

    def __init__(self, channels: int, kernel: int, permutation: Tensor) -> None:
        super().__init__()
        self._changed = channels // 2
        self._passing = channels - self._changed
        self.subnet = nn.Sequential(
            nn.Conv2d(self._passing, self._passing, kernel, padding="same"),
            nn.ReLU(),
            nn.Conv2d(self._passing, 2 * self._changed, kernel, padding="same"),
        )
        # softplus(g / 2) / 5 is 1 at first
        self.scale = nn.Parameter(torch.full((channels, 1, 1), 2 * math.log(math.exp(5) - 1)))
        self.offset = nn.Parameter(torch.zeros(channels, 1, 1))
        self.permutation = nn.Buffer(permutation)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """``(N, C, rows, cols)`` to the same shape, and the log-determinant ``(N,)``."""
        passing, changed = x[:, : self._passing], x[:, self._passing :]
        told = self.subnet(passing.to(next(self.subnet.parameters()).dtype)).to(x.dtype)
        s, t = (_DAMPING * told).chunk(2, dim=1)
        log_scale = _CLAMP * torch.tanh(s)
        coupled = torch.cat([passing, changed * log_scale.exp() + t], dim=1)
        scale = 0.2 * functional.softplus(self.scale / 2)
        out = torch.index_select(coupled * scale + self.offset, 1, self.permutation)
        positions = x.shape[2] * x.shape[3]
        return out, log_scale.sum(dim=(1, 2, 3)) + positions * scale.log().sum()

    def in_half(self) -> None:
        """Let the coupling's network compute in half precision. All else stays float32.

        Latents are products of up to e^2 in each step, which half precision cannot hold for sure.
        """
        self.subnet.half()


class Flow(nn.Module):
    """Features of several scales to latents of the same scales.

    Args:
        channels: of each scale's features, finest first.
        steps: how many steps a stage has. Their kernels are 3, 1, 3, 1 ...
        seed: draws the permutations and the first weights.

    Attributes:
        widths: the channels of each scale's latents, finest first.

    Raises:
        ConfigError: a scale has too few channels for some of them to go up.
    """

    def __init__(self, channels: Sequence[int], steps: int, seed: int) -> None:
        super().__init__()
        rng = np.random.default_rng(seed)
        sizes = _stage_sizes(channels)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.stages = nn.ModuleList(_stage(width, steps, rng) for width, _ in sizes)
        self._goes_up = [up for _, up in sizes]
        self.widths = latent_widths(channels)

    def forward(self, features: Sequence[Tensor]) -> tuple[list[Tensor], Tensor]:
        """See the class.

        Args:
            features: for each scale ``(N, C, rows, cols)``, finest first. Each is twice as high and
                as wide as the next.

        Returns:
            For each scale the latents ``(N, width, rows, cols)``, finest first, and the
            log-determinant ``(N,)`` of the whole flow.
        """
        latents: list[Tensor] = []
        log_det = features[0].new_zeros(features[0].shape[0])
        from_below: Tensor | None = None
        for stage, own, up in zip(self.stages, reversed(features), self._goes_up, strict=True):
            x = own if from_below is None else torch.cat([own, from_below], dim=1)
            for step in stage.children():
                x, of_step = step(x)
                log_det = log_det + of_step
            if up:
                from_below = functional.pixel_shuffle(x[:, :up], 2)
            latents.insert(0, x[:, up:])
        return latents, log_det


def latent_widths(channels: Sequence[int]) -> tuple[int, ...]:
    """The channels of each scale's latents, finest first. See `Flow`.

    >>> latent_widths((64, 128, 256))
    (84, 80, 128)
    """
    return tuple(width - up for width, up in reversed(_stage_sizes(channels)))


def _stage_sizes(channels: Sequence[int]) -> list[tuple[int, int]]:
    """For each stage its channels and how many of them go up, coarsest first.

    Raises:
        ConfigError: a scale has too few channels for some of them to go up.
    """
    sizes: list[tuple[int, int]] = []
    up = 0
    for own in reversed(channels):
        width = own + up // 4
        is_finest = len(sizes) == len(channels) - 1
        up = 0 if is_finest else width // (4 * _SHARE_UP) * 4
        if up == 0 and not is_finest:
            raise ConfigError(
                f"a layer of the backbone has {own} channels, the flow needs "
                f"{4 * _SHARE_UP} or more; choose other layers"
            )
        sizes.append((width, up))
    return sizes


def _stage(channels: int, steps: int, rng: np.random.Generator) -> nn.Sequential:
    permutations = [torch.from_numpy(rng.permutation(channels)) for _ in range(steps)]
    kernels = [3 if i % 2 == 0 else 1 for i in range(steps)]
    pairs = zip(kernels, permutations, strict=True)
    return nn.Sequential(*(Step(channels, kernel, order) for kernel, order in pairs))


def normalised(features: Tensor) -> Tensor:
    """Features ``(N, C, rows, cols)`` of mean 0 and variance 1 over all of an image's values.

    It is a layer norm with nothing to learn. Learned scales before the flow would not be in its
    log-determinant, and the loss would fall for nothing by shrinking them.
    """
    mean = features.mean(dim=(1, 2, 3), keepdim=True)
    centred = features - mean
    variance = centred.square().mean(dim=(1, 2, 3), keepdim=True)
    return centred / (variance + 1e-5).sqrt()


def negative_log_likelihood(latents: Sequence[Tensor], log_det: Tensor) -> Tensor:
    """-ln p of each image's features, ``(N,)``, but for a constant.

    The loss is the mean over the images of a batch. (To sum z^2 over the batch and to take the mean
    of the log-determinants, as has been published, weighs one against the other by the batch's
    size, and latents get smaller than normal.)
    """
    half_z2 = torch.stack([0.5 * z.square().sum(dim=(1, 2, 3)) for z in latents]).sum(dim=0)
    return half_z2 - log_det


def likelihood(latents: Sequence[Tensor], size: tuple[int, int]) -> Tensor:
    """The mean over the scales of exp(-mean of z^2 / 2), enlarged, ``(N, *size)`` in (0, 1]."""
    each = [torch.exp(-z.square().mean(dim=1, keepdim=True) / 2) for z in latents]
    large = [functional.interpolate(x, size, mode="bilinear", align_corners=False) for x in each]
    return torch.cat(large, dim=1).mean(dim=1)
