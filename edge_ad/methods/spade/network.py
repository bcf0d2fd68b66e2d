"""Images to what SPADE compares: the module here is what gets exported."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from edge_ad.features.layers import LayerMaps, pretrained, unloaded
from edge_ad.methods.spade.settings import SpadeConfig
from edge_ad.networks.registry import Backbone
from edge_ad.networks.weights import LacksTensorsError
from edge_ad_runtime.errors import ConfigError
from edge_ad_runtime.heads.gallery_search import POOLED

_DEEPEST = 4


class PooledAndLayers(LayerMaps):
    """Images ``(N, H, W, 3)`` uint8 RGB to the feature of the whole image and those of positions.

    The outputs are ``pooled`` ``(N, d)``, the mean over the positions of the deepest layer, and for
    each compared layer ``layer1`` ... ``(N, rows, cols, C)``, all float32.

    Attributes:
        pooled_layer: the number of the layer that is pooled, as a tensor, so that the fit folder
            keeps it.
    """

    def __init__(self, backbone: Backbone, layers: Sequence[int], pooled_layer: int) -> None:
        super().__init__(backbone)
        self.pooled_layer = nn.Buffer(torch.tensor(pooled_layer))
        self._layers = tuple(layers)

    def forward(self, image: Tensor) -> dict[str, Tensor]:  # noqa: D102
        maps = self.maps(image)
        compared = zip(self._layers, maps, strict=False)  # the pooled one may be one more
        return {
            POOLED: maps[-1].mean(dim=(2, 3)),
            **{output_of(j): m.permute(0, 2, 3, 1).contiguous() for j, m in compared},
        }


def output_of(layer: int) -> str:
    """The name of a layer's output."""
    return f"layer{layer}"


def build_network(settings: SpadeConfig) -> PooledAndLayers:
    """The network of these settings with its weights, ready for inference.

    The pooled layer is 4, or the deepest that the backbone and its weights have.

    Raises:
        ConfigError, FitError: see `load_weights`.
    """
    deepest = max(settings.layers)
    for pooled_layer in range(_DEEPEST, deepest, -1):
        try:
            unloaded(_with(settings, pooled_layer))
        except ConfigError:  # the backbone has no such layer
            continue
        try:
            backbone = pretrained(_with(settings, pooled_layer))
        except LacksTensorsError:  # the file ends before it
            continue
        return PooledAndLayers(backbone, settings.layers, pooled_layer).eval()
    return PooledAndLayers(pretrained(settings), settings.layers, deepest).eval()


def restore_network(settings: SpadeConfig, state: Mapping[str, Tensor]) -> PooledAndLayers:
    """The network of a fit folder. ``state`` is its ``state_dict()``, no tensor more or less."""
    pooled_layer = int(state["pooled_layer"])
    backbone = unloaded(_with(settings, pooled_layer))
    network = PooledAndLayers(backbone, settings.layers, pooled_layer).eval()
    network.load_state_dict(state, strict=True)
    return network.requires_grad_(False)


def _with(settings: SpadeConfig, layer: int) -> SpadeConfig:
    """The same settings for a backbone that also gives this layer."""
    return replace(settings, layers=tuple(sorted({*settings.layers, layer})))
