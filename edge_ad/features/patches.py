"""Images to patch features: the module here is what gets exported."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from edge_ad.features.aggregation import BinAggregation, MeanAggregation
from edge_ad.features.settings import FeatureSettings
from edge_ad.features.whitening import Whitening
from edge_ad.networks.registry import Backbone, build_backbone
from edge_ad.networks.weights import load_weights
from edge_ad_runtime.heads.patch_search import FEATURES

_WHITENING_BIAS = "whitening.bias"


class PatchFeatures(nn.Module):
    """Images ``(N, H, W, 3)`` uint8 RGB to ``features`` ``(N, rows, cols, D)`` float32.

    What comes before and after the backbone is float32, whatever type the backbone computes in.
    ``whitening`` is None until it is learned, and stays None where none is wanted.
    """

    def __init__(self, backbone: Backbone, aggregation: nn.Module) -> None:
        super().__init__()
        self.dtype = torch.float32
        self.backbone = backbone
        self.aggregation = aggregation
        self.whitening: Whitening | None = None
        mean, std = backbone.normalisation
        self.mean = nn.Buffer(mean.view(3, 1, 1), persistent=False)
        self.std = nn.Buffer(std.view(3, 1, 1), persistent=False)

    def forward(self, image: Tensor) -> dict[str, Tensor]:  # noqa: D102
        x = image.to(torch.float32).permute(0, 3, 1, 2)  # (N, 3, H, W)
        maps = self.backbone(((x - self.mean) / self.std).to(self.dtype))
        features: Tensor = self.aggregation([m.to(torch.float32) for m in maps])  # (N, D, ...)
        if self.whitening is not None:
            features = self.whitening(features)
        return {FEATURES: features.permute(0, 2, 3, 1).contiguous()}  # (N, rows, cols, D)

    def in_half(self) -> PatchFeatures:
        """A copy whose backbone computes in half precision."""
        copied = copy.deepcopy(self)
        copied.dtype = torch.float16
        copied.backbone.half()
        return copied


def build_network(settings: FeatureSettings) -> PatchFeatures:
    """The network of these settings with its weights, ready for inference but not whitened yet.

    Raises:
        ConfigError, FitError: see `load_weights`.
    """
    name = settings.resolved_backbone
    backbone = build_backbone(name, settings.layers, settings.size, taps=settings.taps)
    load_weights(backbone, name, settings.weights, seed=settings.seed)
    return _network(backbone, settings)


def restore_network(settings: FeatureSettings, state: Mapping[str, Tensor]) -> PatchFeatures:
    """The network of a fit folder. ``state`` is its ``state_dict()``, no tensor more or less."""
    name = settings.resolved_backbone
    backbone = build_backbone(name, settings.layers, settings.size, taps=settings.taps)
    network = _network(backbone, settings)
    if _WHITENING_BIAS in state:
        network.whitening = Whitening(len(state[_WHITENING_BIAS]))
    network.load_state_dict(state, strict=True)
    return network.requires_grad_(False)


def _network(backbone: Backbone, settings: FeatureSettings) -> PatchFeatures:
    p, stride, dim = settings.patch_size, settings.stride, settings.resolved_aggregated_dim
    aggregation: nn.Module = (
        MeanAggregation(p, stride)
        if dim is None
        else BinAggregation(backbone.channels, p, stride, dim)
    )
    return PatchFeatures(backbone, aggregation).eval()
