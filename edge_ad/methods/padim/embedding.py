"""Images to embeddings, one for each position of the shallowest layer's grid."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from edge_ad.features.layers import LayerMaps, pretrained, unloaded
from edge_ad.images.good import GoodImages
from edge_ad.methods.padim.passes import EMBEDDING, Passes
from edge_ad.methods.padim.reduction import Projection, Selection, draw, principal
from edge_ad.methods.padim.settings import DIMENSIONS, PadimConfig
from edge_ad.networks.registry import Backbone
from edge_ad.networks.run import TorchRun
from edge_ad_runtime.errors import ConfigError

_CHANNELS, _AXES = "reduction.channels", "reduction.axes"


class Embedding(LayerMaps):
    """Images ``(N, H, W, 3)`` uint8 RGB to ``embedding`` ``(N, rows, cols, d)`` float32."""

    def __init__(self, backbone: Backbone, reduction: Selection | Projection) -> None:
        super().__init__(backbone)
        self.reduction = reduction

    def forward(self, image: Tensor) -> dict[str, Tensor]:  # noqa: D102
        reduced: Tensor = self.reduction(self.maps(image))  # (N, d, rows, cols)
        return {EMBEDDING: reduced.permute(0, 2, 3, 1).contiguous()}


def build_network(settings: PadimConfig, images: GoodImages, *, progress: bool) -> Embedding:
    """The network of these settings with its weights. PCA looks at the images, nothing else does.

    Raises:
        ConfigError: the network has fewer channels than ``dimensions`` asks for, or see
            `pretrained`.
        FitError: see `pretrained`.
    """
    backbone = pretrained(settings)
    counts = backbone.channels
    dimensions = _dimensions(settings, sum(counts))
    if settings.reduction != "pca":
        return _ready(Embedding(backbone, draw(counts, dimensions, settings.seed)))
    whole = _ready(Embedding(backbone, draw(counts, sum(counts), settings.seed)))
    passes = Passes(TorchRun(whole), images, progress=progress)
    return _ready(Embedding(backbone, principal(counts, passes.batches("axes"), dimensions)))


def restore_network(settings: PadimConfig, state: Mapping[str, Tensor]) -> Embedding:
    """The network of a fit folder. ``state`` is its ``state_dict()``, no tensor more or less."""
    backbone = unloaded(settings)
    reduction = (
        Projection(backbone.channels, state[_AXES])
        if _AXES in state
        else Selection(backbone.channels, state[_CHANNELS].numpy())
    )
    network = Embedding(backbone, reduction)
    network.load_state_dict(state, strict=True)
    return _ready(network)


def _dimensions(settings: PadimConfig, channels: int) -> int:
    wanted = settings.dimensions
    if settings.reduction == "all":
        return channels
    if wanted is None:
        return min(DIMENSIONS, channels)
    if wanted > channels:
        raise ConfigError(
            f"dimensions is {wanted}; {settings.resolved_backbone} has {channels} channels in the "
            f"layers {', '.join(map(str, settings.layers))}; give fewer dimensions or more layers"
        )
    return wanted


def _ready(network: Embedding) -> Embedding:
    return network.eval().requires_grad_(False)
