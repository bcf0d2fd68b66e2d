"""Images to the levels of latents: the module here is what gets exported."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Self

import torch
from torch import Tensor, nn

from edge_ad.features.layers import LayerMaps, pretrained, unloaded
from edge_ad.methods.uflow.flow import Flow, Step, latent_widths, normalised
from edge_ad.methods.uflow.settings import UFlowConfig
from edge_ad.networks.registry import Backbone
from edge_ad_runtime.decision.a_contrario.blocks import chi2_quantile
from edge_ad_runtime.errors import ConfigError
from edge_ad_runtime.heads.a_contrario import exceeding_name, level_name

WINDOW_QUANTILE = 0.9  # of the block test, as published


class UFlow(LayerMaps):
    """Images ``(N, H, W, 3)`` uint8 RGB to the levels of each scale, finest first.

    ``level_0`` ``(N, rows, cols)`` float32 is the mean of z^2 over the channels, ``level_1`` that
    of the next scale. With the test of windows there are ``exceeding_0`` and so on too, the shares
    of channels whose z^2 exceeds the quantile. The log-determinant is not needed for any of them.

    A latent that is farther from 0 than ``limit`` counts as ``limit``, unless that is None.

    ``factors`` ``(C, 1, 1)``, one for each scale, make the latents of good images that were not
    trained on vary by 1. They are 1 until they are learned.
    """

    def __init__(
        self, backbone: Backbone, flow: Flow, *, limit: float | None, with_exceeding: bool
    ) -> None:
        super().__init__(backbone)
        self.flow = flow
        self.factors = nn.ParameterList(
            nn.Parameter(torch.ones(width, 1, 1), requires_grad=False) for width in flow.widths
        )
        self._most = None if limit is None else limit**2
        self._tau = chi2_quantile(WINDOW_QUANTILE) if with_exceeding else None

    def features(self, image: Tensor) -> list[Tensor]:
        """What the flow takes: the backbone's layer maps, normalised, finest first."""
        return [normalised(each) for each in self.maps(image)]

    def forward(self, image: Tensor) -> dict[str, Tensor]:  # noqa: D102
        latents, _ = self.flow(self.features(image))
        outputs = {}
        for scale, (z, factor) in enumerate(zip(latents, self.factors, strict=True)):
            squared = (z * factor).square()  # (N, C, rows, cols)
            if self._most is not None:
                squared = squared.clamp(max=self._most)
            outputs[level_name(scale)] = squared.mean(dim=1)
            if self._tau is not None:
                outputs[exceeding_name(scale)] = (squared >= self._tau).float().mean(dim=1)
        return outputs

    def in_half(self) -> Self:
        """A copy whose convolutions compute in half precision."""
        copied = super().in_half()
        for module in copied.flow.modules():
            if isinstance(module, Step):
                module.in_half()
        return copied


def flow_widths(settings: UFlowConfig) -> tuple[int, ...]:
    """The channels of each scale's latents, finest first."""
    return latent_widths(unloaded(settings).channels)


def build_network(settings: UFlowConfig) -> UFlow:
    """The network of these settings with its pretrained backbone, and a flow yet to be trained.

    Raises:
        ConfigError: the backbone's layers do not suit a flow.
        FitError: see `load_weights`.
    """
    return _network(pretrained(settings), settings)


def restore_network(settings: UFlowConfig, state: Mapping[str, Tensor]) -> UFlow:
    """The network of a fit folder. ``state`` is its ``state_dict()``, no tensor more or less."""
    network = _network(unloaded(settings), settings)
    network.load_state_dict(state, strict=True)
    return network.requires_grad_(False)


def _network(backbone: Backbone, settings: UFlowConfig) -> UFlow:
    backbone.eval()
    with torch.no_grad():
        shapes = [each.shape[1:] for each in backbone(torch.zeros(1, 3, *settings.size))]
    _check_grids([(shape[1], shape[2]) for shape in shapes], settings)
    flow = Flow([shape[0] for shape in shapes], settings.flow_steps, settings.seed)
    return UFlow(
        backbone,
        flow,
        limit=settings.resolved_latent_limit,
        with_exceeding=settings.test == "blocks",
    ).eval()


def _check_grids(grids: Sequence[tuple[int, int]], settings: UFlowConfig) -> None:
    """Refuse layers that cannot be joined.

    Raises:
        ConfigError: a grid is not exactly twice the next.
    """
    for i, (fine, coarse) in enumerate(zip(grids, grids[1:], strict=False)):
        if fine != (2 * coarse[0], 2 * coarse[1]):
            height, width = settings.size
            raise ConfigError(
                f"layers {settings.layers[i]} and the next have grids of {fine} and {coarse} at "
                f"size {height}x{width}; a flow needs each twice the next: give neighbouring "
                f"--layers, one --taps, and a --size that is a multiple of 32"
            )
