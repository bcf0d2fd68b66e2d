"""Images to patch features: the module here is what gets exported."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from edge_ad.features.aggregation import BinAggregation, MeanAggregation
from edge_ad.features.layers import LayerMaps, pretrained, unloaded
from edge_ad.features.settings import FeatureSettings
from edge_ad.features.whitening import Whitening
from edge_ad.networks.registry import Backbone
from edge_ad_runtime.heads.patch_search import FEATURES

_WHITENING_BIAS = "whitening.bias"


class PatchFeatures(LayerMaps):
    """Images ``(N, H, W, 3)`` uint8 RGB to ``features`` ``(N, rows, cols, D)`` float32.

    ``whitening`` is None until it is learned, and stays None where none is wanted.
    """

    def __init__(self, backbone: Backbone, aggregation: nn.Module) -> None:
        super().__init__(backbone)
        self.aggregation = aggregation
        self.whitening: Whitening | None = None

    def forward(self, image: Tensor) -> dict[str, Tensor]:  # noqa: D102
        features: Tensor = self.aggregation(self.maps(image))  # (N, D, rows, cols)
        if self.whitening is not None:
            features = self.whitening(features)
        return {FEATURES: features.permute(0, 2, 3, 1).contiguous()}  # (N, rows, cols, D)


def build_network(settings: FeatureSettings) -> PatchFeatures:
    """The network of these settings with its weights, ready for inference but not whitened yet.

    Raises:
        ConfigError, FitError: see `load_weights`.
    """
    return _network(pretrained(settings), settings)


def restore_network(settings: FeatureSettings, state: Mapping[str, Tensor]) -> PatchFeatures:
    """The network of a fit folder. ``state`` is its ``state_dict()``, no tensor more or less."""
    network = _network(unloaded(settings), settings)
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
