"""EfficientNet-Lite 0 to 2, made for edge processors, cut off after the last stage in use.

Tan & Le, "EfficientNet" (2019), as Google published it for small processors in 2020: without
squeeze-and-excitation, and with ReLU6, so that it runs fast and its activations fit 8 bits. Its
blocks are those of MobileNetV2 (Sandler et al. 2018): a 1 x 1 convolution widens, a depthwise one
looks around, and a 1 x 1 convolution narrows again, without an activation after it.

Module names are those of the published files, so that these load unchanged.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from edge_ad.networks.normalisation import Normalisation
from edge_ad.networks.taps import tapped

_STEM_CHANNELS = 32
_FIRST_CHANNELS = 16  # of the block after the stem, which does not widen
_EPSILON = 1e-3  # the batch norms' of the published weights


class _Group(NamedTuple):
    """Blocks of one width. The first one has the stride."""

    stage: int  # 1 to 4, whose outputs are at 1/4, 1/8, 1/16 and 1/32 of the input
    blocks: int
    kernel: int
    stride: int
    channels: int


_LAST_GROUP = _Group(4, 1, 3, 1, 320)  # one block in every network
_GROUPS = (  # of EfficientNet-B0 (table 1 of the paper)
    _Group(1, 2, 3, 2, 24),
    _Group(2, 2, 5, 2, 40),
    _Group(3, 3, 3, 2, 80),
    _Group(3, 3, 5, 1, 112),
    _Group(4, 4, 5, 2, 192),
    _LAST_GROUP,
)
_WIDENING = 6
_SCALES = {  # of width and depth
    "efficientnet_lite0": (1.0, 1.0),
    "efficientnet_lite1": (1.0, 1.1),
    "efficientnet_lite2": (1.1, 1.2),
}


class EfficientNetLite(nn.Module):
    """The stem and stages 1 to ``max(layers)``. Nothing after them exists.

    Args:
        name: a key of the table above.
        layers: the stages whose outputs `forward` gives. ``channels`` says how many channels each
            output has.
        taps: how many outputs each stage has, see `edge_ad.networks.taps`.
    """

    normalisation = Normalisation(torch.full((3,), 127.0), torch.full((3,), 128.0))

    def __init__(self, name: str, layers: Sequence[int], taps: int = 1) -> None:
        super().__init__()
        width, depth = _SCALES[name]
        self.layers = tuple(layers)
        self._conv_stem = nn.Conv2d(3, _STEM_CHANNELS, 3, 2, bias=False)
        self._bn0 = nn.BatchNorm2d(_STEM_CHANNELS, eps=_EPSILON)
        channels = _FIRST_CHANNELS
        blocks = [_Block(_STEM_CHANNELS, channels, 3, 1, widening=1)]
        widths = [channels]  # of each block's output
        stages: dict[int, list[int]] = {}  # the numbers of each stage's blocks
        for group in _GROUPS:
            if group.stage > max(layers):
                break
            wider = _scaled_width(group.channels, width)
            count = group.blocks if group is _LAST_GROUP else math.ceil(group.blocks * depth)
            for i in range(count):
                stages.setdefault(group.stage, []).append(len(blocks))
                stride = group.stride if i == 0 else 1
                blocks.append(_Block(channels, wider, group.kernel, stride, widening=_WIDENING))
                channels = wider
                widths.append(channels)
        self._blocks = nn.ModuleList(blocks)
        self._used = [block for layer in layers for block in tapped(stages[layer], taps)]
        self.channels = [widths[block] for block in self._used]

    def forward(self, x: Tensor) -> list[Tensor]:
        """Normalised images ``(N, 3, H, W)`` to a ``(N, C, h, w)`` map per tap, in order."""
        x = functional.relu6(self._bn0(_convolved(x, self._conv_stem)))
        maps = []
        for i, block in enumerate(self._blocks):
            x = block(x)
            if i in self._used:
                maps.append(x)
        return maps


class _Block(nn.Module):
    """Widen, look around, narrow; and a shortcut where the shape stays."""

    def __init__(
        self, channels_in: int, channels_out: int, kernel: int, stride: int, *, widening: int
    ) -> None:
        super().__init__()
        inner = widening * channels_in
        self._has_shortcut = stride == 1 and channels_in == channels_out
        self._widens = widening > 1
        if self._widens:
            self._expand_conv = nn.Conv2d(channels_in, inner, 1, bias=False)
            self._bn0 = nn.BatchNorm2d(inner, eps=_EPSILON)
        self._depthwise_conv = nn.Conv2d(inner, inner, kernel, stride, groups=inner, bias=False)
        self._bn1 = nn.BatchNorm2d(inner, eps=_EPSILON)
        self._project_conv = nn.Conv2d(inner, channels_out, 1, bias=False)
        self._bn2 = nn.BatchNorm2d(channels_out, eps=_EPSILON)

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        out = functional.relu6(self._bn0(self._expand_conv(x))) if self._widens else x
        out = functional.relu6(self._bn1(_convolved(out, self._depthwise_conv)))
        out = self._bn2(self._project_conv(out))
        result: Tensor = x + out if self._has_shortcut else out
        return result


def _convolved(x: Tensor, convolution: nn.Conv2d) -> Tensor:
    """Convolve with TensorFlow's padding "SAME", which the weights were trained with.

    An output has ceil(size / stride) positions. Where the zeros cannot be the same on both sides,
    there is one more at the bottom and on the right.
    """
    (kernel, _), (stride, _) = convolution.kernel_size, convolution.stride
    rows, cols = (max((-(-n // stride) - 1) * stride + kernel - n, 0) for n in x.shape[2:])
    padded = functional.pad(x, (cols // 2, cols - cols // 2, rows // 2, rows - rows // 2))
    convolved: Tensor = convolution(padded)
    return convolved


def _scaled_width(channels: int, factor: float) -> int:
    """The multiple of 8 nearest to the scaled width."""
    return int(factor * channels + 4) // 8 * 8
