"""Images to the maps of a pretrained network's layers, where networks of methods begin."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Self

import torch
from torch import Tensor, nn

from edge_ad.networks.registry import Backbone, build_backbone
from edge_ad.networks.settings import NetworkSettings
from edge_ad.networks.weights import fingerprint, load_weights


class LayerMaps(nn.Module):
    """The base of networks that begin with a backbone.

    What comes before and after the backbone is float32, whatever type the backbone computes in.
    """

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.dtype = torch.float32
        self.backbone = backbone
        mean, std = backbone.normalisation
        self.mean = nn.Buffer(mean.view(3, 1, 1), persistent=False)
        self.std = nn.Buffer(std.view(3, 1, 1), persistent=False)

    def maps(self, image: Tensor) -> list[Tensor]:
        """The backbone's outputs, shallowest first.

        Args:
            image: ``(N, H, W, 3)`` uint8 RGB.

        Returns:
            For each output ``(N, C, rows, cols)`` float32.
        """
        x = image.to(torch.float32).permute(0, 3, 1, 2)  # (N, 3, H, W)
        maps = self.backbone(((x - self.mean) / self.std).to(self.dtype))
        return [m.to(torch.float32) for m in maps]

    def in_half(self) -> Self:
        """A copy whose backbone computes in half precision."""
        copied = copy.deepcopy(self)
        copied.dtype = torch.float16
        copied.backbone.half()
        return copied


def pretrained(settings: NetworkSettings) -> Backbone:
    """The backbone of these settings, with its weights.

    Raises:
        ConfigError, FitError: see `load_weights`.
    """
    backbone = unloaded(settings)
    load_weights(backbone, settings.resolved_backbone, settings.weights, seed=settings.seed)
    return backbone


def unloaded(settings: NetworkSettings) -> Backbone:
    """The backbone of these settings before its weights are loaded."""
    name = settings.resolved_backbone
    return build_backbone(name, settings.layers, settings.size, taps=settings.taps)


def origin_of(network: LayerMaps, settings: NetworkSettings) -> dict[str, str]:
    """What a manifest says of where a network comes from: see `edge_ad.methods.Lowered`."""
    return {
        "backbone": settings.resolved_backbone,
        "weights": Path(settings.weights).name,  # folders of the workshop stay there
        "weights_sha256": fingerprint(network.backbone.state_dict()),
        "layers": ", ".join(map(str, settings.layers)),
    }
