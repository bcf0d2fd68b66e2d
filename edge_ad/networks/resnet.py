"""ResNets (He et al. 2015), wide ones (Zagoruyko & Komodakis 2016), ResNeXt (Xie et al. 2017).

A network is cut off after the last stage in use. Module names are torchvision's, so that its
published weight files load unchanged.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from edge_ad.networks.normalisation import IMAGENET
from edge_ad.networks.taps import tapped

_STAGE_WIDTHS = (64, 128, 256, 512)

# The blocks of each stage, and of bottlenecks the width per 64 channels and the groups. None stands
# for basic blocks.
_ARCHITECTURES: dict[str, tuple[tuple[int, int, int, int], tuple[int, int] | None]] = {
    "resnet18": ((2, 2, 2, 2), None),
    "resnet34": ((3, 4, 6, 3), None),
    "resnet50": ((3, 4, 6, 3), (64, 1)),
    "resnet101": ((3, 4, 23, 3), (64, 1)),
    "wide_resnet50_2": ((3, 4, 6, 3), (128, 1)),
    "wide_resnet101_2": ((3, 4, 23, 3), (128, 1)),
    "resnext101_32x8d": ((3, 4, 23, 3), (256, 32)),
}


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut."""

    def __init__(self, channels_in: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, width, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = _shortcut(channels_in, width, stride)

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        out = torch.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        return torch.relu(out + (x if self.downsample is None else self.downsample(x)))


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions and a shortcut. The 3x3 has the stride (torchvision's v1.5)."""

    def __init__(
        self, channels_in: int, width: int, stride: int, base_width: int, groups: int
    ) -> None:
        super().__init__()
        inner, channels_out = width * base_width // 64, width * 4
        self.conv1 = nn.Conv2d(channels_in, inner, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(inner)
        self.conv2 = nn.Conv2d(inner, inner, 3, stride, padding=1, groups=groups, bias=False)
        self.bn2 = nn.BatchNorm2d(inner)
        self.conv3 = nn.Conv2d(inner, channels_out, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(channels_out)
        self.downsample = _shortcut(channels_in, channels_out, stride)

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        out = torch.relu(self.bn1(self.conv1(x)))
        out = torch.relu(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(out))
        return torch.relu(out + (x if self.downsample is None else self.downsample(x)))


class ResNet(nn.Module):
    """The stem and stages 1 to ``max(layers)``. Nothing after them exists.

    Args:
        name: a key of the table above.
        layers: the stages whose outputs `forward` gives. ``channels`` says how many channels each
            output has.
        taps: how many outputs each stage has, see `edge_ad.networks.taps`.
    """

    normalisation = IMAGENET

    def __init__(self, name: str, layers: Sequence[int], taps: int = 1) -> None:
        super().__init__()
        depths, bottleneck = _ARCHITECTURES[name]
        expansion = 4 if bottleneck else 1
        self.layers = tuple(layers)
        self._used = {j: tapped(range(depths[j - 1]), taps) for j in layers}
        self.channels = [
            _STAGE_WIDTHS[j - 1] * expansion for j in self.layers for _ in self._used[j]
        ]
        self.conv1 = nn.Conv2d(3, 64, 7, 2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.maxpool = nn.MaxPool2d(3, 2, padding=1)
        channels = 64
        for stage in range(1, max(layers) + 1):
            width = _STAGE_WIDTHS[stage - 1]
            blocks: list[nn.Module] = []
            for i in range(depths[stage - 1]):
                stride = 2 if i == 0 and stage > 1 else 1
                blocks.append(
                    Bottleneck(channels, width, stride, *bottleneck)
                    if bottleneck
                    else BasicBlock(channels, width, stride)
                )
                channels = width * expansion
            self.add_module(f"layer{stage}", nn.Sequential(*blocks))

    def forward(self, x: Tensor) -> list[Tensor]:
        """Normalised images ``(N, 3, H, W)`` to a ``(N, C, h, w)`` map per tap, in order."""
        x = self.maxpool(torch.relu(self.bn1(self.conv1(x))))
        maps = []
        for stage in range(1, max(self.layers) + 1):
            for i, block in enumerate(self.get_submodule(f"layer{stage}").children()):
                x = block(x)
                if i in self._used.get(stage, ()):
                    maps.append(x)
        return maps


def _shortcut(channels_in: int, channels_out: int, stride: int) -> nn.Sequential | None:
    if stride == 1 and channels_in == channels_out:
        return None
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, 1, stride, bias=False), nn.BatchNorm2d(channels_out)
    )
