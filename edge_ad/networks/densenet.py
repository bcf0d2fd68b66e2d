"""DenseNet201 (Huang et al. 2017), cut off after the last block in use.

Module names are torchvision's, so that its published weight file loads unchanged.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from edge_ad.networks.normalisation import IMAGENET

_DEPTHS = (6, 12, 48, 32)
_GROWTH = 32
_BOTTLENECK = 4 * _GROWTH
# the published file predates a rule on module names: denselayer1.norm.1 is denselayer1.norm1 now
_OLD_NAME = re.compile(r"(denselayer\d+\.(?:norm|conv))\.([12]\.)")


class DenseLayer(nn.Module):
    """A layer that concatenates 32 new channels to what it is given."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(channels)
        self.conv1 = nn.Conv2d(channels, _BOTTLENECK, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(_BOTTLENECK)
        self.conv2 = nn.Conv2d(_BOTTLENECK, _GROWTH, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        new = self.conv1(torch.relu(self.norm1(x)))
        new = self.conv2(torch.relu(self.norm2(new)))
        return torch.cat([x, new], dim=1)


class DenseNet(nn.Module):
    """The stem and dense blocks 1 to ``max(layers)``. Nothing after them exists.

    Args:
        layers: the dense blocks whose outputs `forward` gives. ``channels`` says how many channels
            each output has.
    """

    normalisation = IMAGENET

    def __init__(self, layers: Sequence[int]) -> None:
        super().__init__()
        self.layers = tuple(layers)
        self.channels: list[int] = []
        channels = 64
        parts: OrderedDict[str, nn.Module] = OrderedDict(
            conv0=nn.Conv2d(3, channels, 7, 2, padding=3, bias=False),
            norm0=nn.BatchNorm2d(channels),
            relu0=nn.ReLU(),
            pool0=nn.MaxPool2d(3, 2, padding=1),
        )
        for block in range(1, max(layers) + 1):
            if block > 1:
                parts[f"transition{block - 1}"] = _transition(channels)
                channels //= 2
            depth = _DEPTHS[block - 1]
            dense: OrderedDict[str, nn.Module] = OrderedDict(
                (f"denselayer{i + 1}", DenseLayer(channels + i * _GROWTH)) for i in range(depth)
            )
            parts[f"denseblock{block}"] = nn.Sequential(dense)
            channels += depth * _GROWTH
            if block in layers:
                self.channels.append(channels)
        self.features = nn.Sequential(parts)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Normalised images ``(N, 3, H, W)`` to one ``(N, C, h, w)`` map per block in use."""
        used = {f"denseblock{block}" for block in self.layers}
        maps = []
        for name, part in self.features.named_children():
            x = part(x)
            if name in used:
                maps.append(x)
        return maps

    @staticmethod
    def current_name(name: str) -> str:
        """The name that a tensor of the published file has today."""
        return _OLD_NAME.sub(r"\1\2", name)


def _transition(channels: int) -> nn.Sequential:
    return nn.Sequential(
        OrderedDict(
            norm=nn.BatchNorm2d(channels),
            relu=nn.ReLU(),
            conv=nn.Conv2d(channels, channels // 2, 1, bias=False),
            pool=nn.AvgPool2d(2),
        )
    )
