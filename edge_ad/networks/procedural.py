"""A small network over the scattering's maps, trained on procedural images alone.

Its layers are those of `edge_ad.networks.scattering` seen by a few residual blocks (He et al. 2016,
without normalisation), at strides 8 and 16, with a look around at stride 32. ``procedural.md``,
beside the weights, says how it was trained and on what. The recipe is `edge_ad.recipes`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from edge_ad.networks.normalisation import IMAGENET
from edge_ad.networks.scattering import Scattering
from edge_ad_runtime.errors import ConfigError

WEIGHTS = Path(__file__).with_name("procedural.safetensors")
LAYERS = (2, 3)
_FINE, _COARSE = 96, 160  # channels within, at strides 8 and 16
_OUT_FINE, _OUT_COARSE = 128, 192


class Procedural(nn.Module):
    """Layers 2 and 3, on the grids at 1/8 and 1/16 of the input. Both are needed.

    Raises:
        ConfigError: other layers are asked for.
    """

    normalisation = IMAGENET

    def __init__(self, layers: Sequence[int] = LAYERS) -> None:
        super().__init__()
        if tuple(layers) != LAYERS:
            raise ConfigError(
                f"layers is {list(layers)}; the backbone 'procedural' has 2,3; give --layers 2,3, "
                "or another --backbone (pip install 'edge-ad[lite]' brings one)"
            )
        self.channels = [_OUT_FINE, _OUT_COARSE]
        self.scattering = Scattering(LAYERS)
        fine, coarse = self.scattering.channels
        self.enter_fine = nn.Conv2d(fine, _FINE, 1)
        self.fine = nn.Sequential(_Block(_FINE), _Block(_FINE))
        self.enter_coarse = nn.Conv2d(coarse, _COARSE, 1)
        self.to_coarse = nn.Conv2d(_FINE, _COARSE, 3, stride=2, padding=1)
        self.coarse = nn.Sequential(_Block(_COARSE), _Block(_COARSE))
        self.to_broad = nn.Conv2d(_COARSE, _COARSE, 3, stride=2, padding=1)
        self.broad = nn.Sequential(_Block(_COARSE), _Block(_COARSE))
        self.merge = _Block(_COARSE)
        self.leave_fine = nn.Conv2d(_FINE, _OUT_FINE, 1)
        self.skip_fine = nn.Conv2d(fine, _OUT_FINE, 1, bias=False)
        self.leave_coarse = nn.Conv2d(_COARSE, _OUT_COARSE, 1)
        self.skip_coarse = nn.Conv2d(coarse, _OUT_COARSE, 1, bias=False)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Normalised images ``(N, 3, H, W)`` to maps ``(N, 128, ...)`` and ``(N, 192, ...)``."""
        return self.head(self.scattering(x))

    def head(self, maps: list[Tensor]) -> list[Tensor]:
        """The part after the scattering's maps, which is all that is trained."""
        fine = self.fine(self.enter_fine(maps[0]))
        coarse = self.enter_coarse(maps[1]) + self.to_coarse(torch.relu(fine))
        coarse = self.coarse(coarse)
        broad = self.broad(self.to_broad(torch.relu(coarse)))
        around = functional.interpolate(broad, size=coarse.shape[2:], mode="bilinear")
        coarse = self.merge(coarse + around)
        return [
            self.leave_fine(torch.relu(fine)) + self.skip_fine(maps[0]),
            self.leave_coarse(torch.relu(coarse)) + self.skip_coarse(maps[1]),
        ]


class _Block(nn.Module):
    """y + conv(relu(conv(y))) with y = relu(x). Until it is trained it gives y alone."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        for zero in self.conv2.parameters():
            nn.init.zeros_(zero)

    def forward(self, x: Tensor) -> Tensor:
        y = torch.relu(x)
        change: Tensor = self.conv2(torch.relu(self.conv1(y)))
        return y + change
