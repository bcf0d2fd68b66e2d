"""Any network of timm (https://github.com/huggingface/pytorch-image-models), as ``timm:NAME``.

timm is an optional extra: ``pip install 'edge-ad[timm]'``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from edge_ad.networks.normalisation import of_unit_range
from edge_ad_runtime.errors import ConfigError

PREFIX = "timm:"
_OLDEST = (1, 0, 26)  # those before it run the code in a .pth file


class TimmBackbone(nn.Module):
    """Feature maps of a timm network, by the layers' numbers that the ResNets have.

    Layer j of a pyramid is its last map at 1 / 2^(j+1) of the input's size: 1/4, 1/8, 1/16, 1/32.
    A network of one resolution (a plain vision transformer) gives what its blocks hold a quarter,
    half, three quarters and all of the way down.

    Args:
        name: timm's name, without the prefix.
        layers: the layers whose outputs `forward` gives. ``channels`` says how many channels each
            output has.
        size: ``(height, width)`` of the input, which some networks must know.

    Raises:
        ConfigError: timm is not installed or has no such network, or the network has no such layer
            or cannot take images of that size.
    """

    def __init__(self, name: str, layers: Sequence[int], size: tuple[int, int]) -> None:
        super().__init__()
        self.name = name
        self.layers = tuple(layers)
        with torch.device("meta"):
            self._indices = _indices(_create(name), self.layers, name)
        self.network = self._build()
        try:
            with torch.device("meta"):
                maps = _create(name, out_indices=self._indices)(torch.zeros(1, 3, *size))
        except Exception as exc:  # each network has its own objections
            raise ConfigError(
                f"{PREFIX}{name} cannot take {size[0]} x {size[1]} px: {exc}"
            ) from exc
        self.channels: list[int] = self.network.feature_info.channels()
        last = getattr(self.network, "output_fmt", "NCHW") == "NHWC"
        self._channels_last = last and maps[0].shape[-1] == self.channels[0]
        trained_with = self.network.pretrained_cfg
        self.normalisation = of_unit_range(trained_with["mean"], trained_with["std"])

    def forward(self, x: Tensor) -> list[Tensor]:
        """Normalised images ``(N, 3, H, W)`` to one ``(N, C, h, w)`` map per layer in use."""
        maps: list[Tensor] = self.network(x)
        return [m.permute(0, 3, 1, 2) for m in maps] if self._channels_last else maps

    def load(self, weights: str, seed: int) -> None:
        """Load ``imagenet`` (what timm publishes), ``untrained``, or a file with timm's key names.

        Raises:
            ConfigError: the weights could not be had, or are another network's.
        """
        if weights == "untrained":
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)
                filled = self._build()
        else:
            overlay = None if weights == "imagenet" else {"file": weights}
            try:
                filled = self._build(pretrained=True, pretrained_cfg_overlay=overlay)
            except Exception as exc:  # timm's, its hub's and torch's errors are many
                raise ConfigError(
                    f"weights {weights!r} could not be had for {PREFIX}{self.name}: {exc}"
                ) from exc
        self.network.load_state_dict(filled.state_dict())

    def _build(self, **settings: Any) -> Any:
        return _create(self.name, out_indices=self._indices, **settings)


def _create(name: str, **settings: Any) -> Any:
    timm = _import_timm()
    if not timm.is_model(name.split(".")[0]):
        near = ", ".join(timm.list_models(f"*{name[:4]}*")[:5]) or "see timm.list_models()"
        raise ConfigError(f"timm {timm.__version__} has no network {name!r}; {near}")
    return timm.create_model(name, features_only=True, **settings)


def _import_timm() -> ModuleType:
    try:
        import timm
    except ImportError as exc:
        raise ConfigError(
            f"backbone {PREFIX}... needs timm ({exc}); pip install 'edge-ad[timm]'"
        ) from exc
    found = tuple(int(part) for part in re.findall(r"\d+", timm.__version__)[:3])
    if found < _OLDEST:
        oldest = ".".join(map(str, _OLDEST))
        raise ConfigError(
            f"timm {timm.__version__} can run code from a weights file; "
            f"pip install 'timm>={oldest}'"
        )
    module: ModuleType = timm
    return module


def _indices(network: Any, layers: tuple[int, ...], name: str) -> tuple[int, ...]:
    """The numbers of the network's feature maps that are the layers."""
    reductions = [stage["reduction"] for stage in network.feature_info.info]
    if len(set(reductions)) == 1:
        return tuple(len(reductions) * layer // 4 - 1 for layer in layers)
    last = {reduction: i for i, reduction in enumerate(reductions)}
    if missing := [layer for layer in layers if 2 ** (layer + 1) not in last]:
        has = ", ".join(f"1/{reduction}" for reduction in sorted(last))
        raise ConfigError(
            f"{PREFIX}{name} has no layer {missing[0]} (a map at 1/{2 ** (missing[0] + 1)} of the "
            f"input); its maps are at {has}"
        )
    return tuple(last[2 ** (layer + 1)] for layer in layers)
