"""The energy: a small smooth network, and its gradient written out by hand.

The network learns residuals r, numbers of several scales that are near 0 where the image is as good
ones are. The energy is half the sum of their squares,

    E(x) = 1/2 sum over scales and positions of |r(x)|^2,

so that it is a sum of local terms, is never below 0, and has a gradient that grows with the
distance from good images instead of levelling off. The residuals of the finest scale are linear in
the values. Alone they would make the energy that of a Gaussian. All others come after convolutions
and SiLU (Elfwing et al. 2017), which can be differentiated twice: there is no ReLU, no maximum and
no batch norm.

The gradient dE/dx is back-propagation, written as a forward computation. So it can be exported as a
graph that any engine runs, and trained by differentiating it once more, without automatic
differentiation of second order.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional

_KERNEL = 3
_RESIDUALS = 16  # of each position of a scale
_LEAST_LINEAR = 32  # residuals of each position that are linear in the values


class LocalEnergy(nn.Module):
    """Values ``(N, C, H, W)`` to their energy ``(N,)``, and to its gradient ``(N, C, H, W)``.

    A scale is two convolutions, each with a SiLU behind it. The first may halve the resolution.

    Args:
        channels: C, of the values.
        width: the channels of the first scale. Those of the next are twice as many, and so on.
        strides: for each scale the stride of its first convolution, 1 or 2.
        kernel: the side of the convolution that gives the linear residuals, odd.
        seed: draws the first weights.

    """

    def __init__(
        self, channels: int, width: int, strides: tuple[int, ...], kernel: int, seed: int
    ) -> None:
        super().__init__()
        self.channels = channels
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.linear = nn.Conv2d(
                channels, max(channels, _LEAST_LINEAR), kernel, padding=kernel // 2
            )
            convolutions: list[nn.Conv2d] = []
            residuals: list[nn.Conv2d] = []
            inner = channels
            for scale, stride in enumerate(strides):
                outer = width * 2**scale
                convolutions += [_convolution(inner, outer, stride), _convolution(outer, outer, 1)]
                residuals.append(nn.Conv2d(outer, _RESIDUALS, 1))
                inner = outer
            self.convolutions = nn.ModuleList(convolutions)
            self.residuals = nn.ModuleList(residuals)
            for each in (self.linear, *self.residuals):
                _draw(each, 0.1 / each.in_channels**0.5)

    def forward(self, x: Tensor) -> Tensor:
        """The energy ``(N,)`` of ``(N, C, H, W)``."""
        _, residuals = self._forward(x)
        return _half_squares([self.linear(x), *residuals])

    def energy_and_gradient(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The energy ``(N,)`` of ``x``, and dE/dx of the shape of ``x``."""
        values, residuals = self._forward(x)
        gradient = torch.zeros((), device=x.device)
        for i, convolution in reversed(list(enumerate(_each(self.convolutions)))):
            if i % 2 == 1:  # the end of a scale
                gradient = gradient + _back(self.residuals[i // 2], residuals[i // 2])
            before, after = values[i]
            gate = torch.sigmoid(after)
            gradient = gradient * gate * (1 + after * (1 - gate))  # SiLU'
            gradient = _back(convolution, gradient, before)
        r = self.linear(x)
        return _half_squares([r, *residuals]), gradient + _back(self.linear, r)

    def _forward(self, x: Tensor) -> tuple[list[tuple[Tensor, Tensor]], list[Tensor]]:
        """Of each convolution what goes in and comes out, and the residuals of each scale."""
        values, residuals = [], []
        for i, convolution in enumerate(_each(self.convolutions)):
            z = convolution(x)
            values.append((x, z))
            x = z * torch.sigmoid(z)
            if i % 2 == 1:
                residuals.append(self.residuals[i // 2](x))
        return values, residuals


def _convolution(inner: int, outer: int, stride: int) -> nn.Conv2d:
    made = nn.Conv2d(inner, outer, _KERNEL, stride, padding=_KERNEL // 2)
    return _draw(made, (2.0 / (inner * _KERNEL**2)) ** 0.5)  # SiLU halves what is near 0


def _draw(convolution: nn.Conv2d, std: float) -> nn.Conv2d:
    nn.init.normal_(convolution.weight, std=std)
    assert convolution.bias is not None, "all have one"
    nn.init.zeros_(convolution.bias)
    return convolution


def _each(modules: nn.ModuleList) -> Iterator[nn.Conv2d]:
    for module in modules:
        assert isinstance(module, nn.Conv2d), "no others are in it"
        yield module


def _back(convolution: nn.Module, gradient: Tensor, before: Tensor | None = None) -> Tensor:
    """The gradient of what goes into a convolution, from that of what comes out of it.

    Args:
        convolution: its weights are those of the transposed convolution.
        gradient: ``(N, C', h', w')``.
        before: ``(N, C, h, w)``, what went in. It is needed where the stride is not 1: without it,
            rows and columns at the end that the stride leaves out would not come back.
    """
    assert isinstance(convolution, nn.Conv2d), "no others are in it"
    weight = convolution.weight
    stride, padding = convolution.stride[0], convolution.kernel_size[0] // 2
    if stride == 1:  # a convolution with the kernels turned round is the same, and faster
        return functional.conv2d(gradient, weight.flip(2, 3).transpose(0, 1), padding=padding)
    cut_off = (0, 0) if before is None else tuple((n - 1) % stride for n in before.shape[2:])
    # Both signs are turned. OpenVINO (2026.4, issue 33397) mistakes weights that a convolution and
    # a transposed one have in common, and gives something else without a word.
    return functional.conv_transpose2d(
        -gradient, -weight, stride=stride, padding=padding, output_padding=cut_off
    )


def _half_squares(residuals: list[Tensor]) -> Tensor:
    # axis after axis: one sum over all values would lose a digit more in float32
    sums = [0.5 * r.square().sum(dim=1).sum(dim=2).sum(dim=1) for r in residuals]
    return torch.stack(sums).sum(dim=0)
