"""Images to the energy and its gradient: the module here is what gets exported.

The image is continued beyond its border by reflection before anything else sees it. Whatever pads
with zeros behind that, a backbone or the energy, does so far outside of the image, and what lies
outside is cut off from the gradient. So a border does not light up.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from edge_ad.features.layers import LayerMaps, pretrained, unloaded
from edge_ad.methods.energy.local_energy import LocalEnergy
from edge_ad.methods.energy.settings import EnergyConfig
from edge_ad_runtime.errors import ConfigError

RAW_ENERGY, MAGNITUDE, NORM = "raw_energy", "gradient_magnitude", "gradient_norm"
"""The network's outputs: ``(N,)`` float32, ``(N, rows, cols)`` and ``(N,)``."""

_STRIDES = {"pixels": (2, 2, 2), "features": (2,)}
_MARGIN = {"pixels": 16, "features": 4}  # rows and columns that values are continued by
_LINEAR_KERNEL = {"pixels": 3, "features": 1}


class Pixels(nn.Module):
    """Images ``(N, H, W, 3)`` uint8 RGB to their grey levels ``(N, 3, H + 2m, W + 2m)``.

    Args:
        margin_px: m, how many rows and columns are continued on each side.
    """

    channels = 3

    def __init__(self, margin_px: int) -> None:
        super().__init__()
        self._margin_px = margin_px

    def forward(self, image: Tensor) -> Tensor:  # noqa: D102
        return continued(image, self._margin_px)


class Features(LayerMaps):
    """Images ``(N, H, W, 3)`` uint8 RGB to features ``(N, C, rows, cols)`` of the continued image.

    Args:
        settings: they name the backbone, whose weights are not loaded here.
        margin_px: how many rows and columns the image is continued by on each side.
    """

    def __init__(self, settings: EnergyConfig, margin_px: int, *, load: bool) -> None:
        height, width = settings.size
        larger = replace(settings, size=(height + 2 * margin_px, width + 2 * margin_px))
        super().__init__(pretrained(larger) if load else unloaded(larger))
        self._margin_px = margin_px
        self.channels = self.backbone.channels[0]

    def forward(self, image: Tensor) -> Tensor:  # noqa: D102
        x = continued(image, self._margin_px)
        (features,) = self.backbone(((x - self.mean) / self.std).to(self.dtype))
        found: Tensor = features.to(torch.float32)
        return found


class EnergyNetwork(nn.Module):
    """Images ``(N, H, W, 3)`` uint8 RGB to the energy and its gradient.

    ``raw_energy`` ``(N,)`` float32 is the energy of the continued image. ``gradient_magnitude``
    ``(N, rows, cols)`` is the sum over the channels of ``|dE/dx|``, inside the image, where x are
    the pixels or the features, each channel with mean 0 and variance 1 over good images.
    ``gradient_norm`` ``(N,)`` is the Euclidean norm of dE/dx inside the image.

    Args:
        values: images to what the energy is an energy of.
        energy: the energy.
        margin: how many rows and columns of values on each side are not of the image.

    Attributes:
        level: ``(C, 1, 1)``, the mean of each channel over good images, 0 until it is learned.
        spread: ``(C, 1, 1)``, the standard deviation, 1 until it is learned.
    """

    def __init__(self, values: Pixels | Features, energy: LocalEnergy, margin: int) -> None:
        super().__init__()
        self.values = values
        self.energy = energy
        self.margin = margin
        self.level = nn.Buffer(torch.zeros(energy.channels, 1, 1))
        self.spread = nn.Buffer(torch.ones(energy.channels, 1, 1))

    def forward(self, image: Tensor) -> dict[str, Tensor]:  # noqa: D102
        x = (self.values(image) - self.level) / self.spread
        energy, gradient = self.energy.energy_and_gradient(x)
        gradient = inside(gradient, self.margin)
        return {
            RAW_ENERGY: energy,
            MAGNITUDE: gradient.abs().sum(dim=1),
            NORM: gradient.square().sum(dim=(1, 2, 3)).sqrt(),
        }

    def grid(self, size: tuple[int, int]) -> tuple[int, int]:
        """The ``(rows, cols)`` of the gradient for images of that ``(height, width)``."""
        with torch.no_grad():
            shape = self.values(torch.zeros(1, *size, 3, dtype=torch.uint8)).shape
        return shape[2] - 2 * self.margin, shape[3] - 2 * self.margin

    def in_half(self) -> Self:
        """A copy whose backbone computes in half precision. The energy stays float32."""
        assert isinstance(self.values, Features), "pixels have no backbone"
        copied = copy.deepcopy(self)
        copied.values = self.values.in_half()
        return copied


def continued(image: Tensor, margin_px: int) -> Tensor:
    """Images ``(N, H, W, 3)`` continued by reflection, ``(N, 3, H + 2m, W + 2m)`` float32.

    The pixel at the border is not repeated.
    """
    x = image.to(torch.float32).permute(0, 3, 1, 2)
    return functional.pad(x, [margin_px] * 4, mode="reflect")


def inside(values: Tensor, margin: int) -> Tensor:
    """Values ``(N, C, h, w)`` without the rows and columns that are not of the image."""
    return values[:, :, margin:-margin, margin:-margin]


def build_network(settings: EnergyConfig) -> EnergyNetwork:
    """The network of these settings, with an energy that is yet to be trained.

    Raises:
        ConfigError: the images are too small to be continued. Or see `load_weights`.
        FitError: see `load_weights`.
    """
    return _network(settings, load=True)


def restore_network(settings: EnergyConfig, state: Mapping[str, Tensor]) -> EnergyNetwork:
    """The network of a fit folder. ``state`` is its ``state_dict()``, no tensor more or less."""
    network = _network(settings, load=False)
    network.load_state_dict(state, strict=True)
    return network.eval().requires_grad_(False)


def _network(settings: EnergyConfig, *, load: bool) -> EnergyNetwork:
    space = settings.space
    margin = _MARGIN[space]
    margin_px = margin if space == "pixels" else margin * 2 ** (settings.layers[0] + 1)
    if min(settings.size) <= margin_px:
        height, width = settings.size
        raise ConfigError(
            f"size is {height}x{width}; the image is continued by {margin_px} pixels beyond its "
            f"border, so give a --size of {margin_px + 1} or more"
        )
    values = (
        Pixels(margin_px)
        if space == "pixels"
        else Features(settings, margin_px, load=load).requires_grad_(False)
    )
    energy = LocalEnergy(
        values.channels,
        settings.resolved_width,
        _STRIDES[space],
        kernel=_LINEAR_KERNEL[space],
        seed=settings.seed,
    )
    return EnergyNetwork(values.eval(), energy, margin).eval()
