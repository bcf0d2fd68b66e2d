"""The settings of every method that has a pretrained network."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Self

from edge_ad.images.settings import ImageSettings
from edge_ad.networks.lite_package import published_weights
from edge_ad_runtime.artifact.bounds import Between, OneOf, Rising
from edge_ad_runtime.errors import ConfigError
from edge_ad_runtime.settings import Spelling, setting

RESNETS = (
    "resnet18",
    "resnet34",
    "resnet50",
    "resnet101",
    "wide_resnet50_2",
    "wide_resnet101_2",
    "resnext101_32x8d",
)
LITE = ("efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2")
OWN = ("procedural", "scattering")
BACKBONES = (*RESNETS, "densenet201", *LITE, *OWN)

_GROUP = "Network"


def _parse_layers(text: str) -> tuple[int, ...]:
    """``2,3`` to ``(2, 3)``."""
    parts = [part.strip().removeprefix("layer") for part in text.split(",")]
    if not all(part.isdecimal() for part in parts):
        raise ValueError(f"{text!r} is not a list of layers such as 2,3")
    return tuple(int(part) for part in parts)


def show_layers(layers: tuple[int, ...]) -> str:
    """Layers as they are typed: ``2,3``."""
    return ",".join(map(str, layers))


Layers = Annotated[tuple[int, ...], Rising((1, 2, 3, 4))]
"""The type of `NetworkSettings.layers`."""


def layers_setting(default: tuple[int, ...]) -> Any:
    """The field `NetworkSettings.layers`, for a method that has another default."""
    return setting(
        default,
        help=f"The stages of the network whose outputs are used, such as {show_layers(default)}.",
        spelling=Spelling("LAYERS", _parse_layers, show_layers),
        group=_GROUP,
    )


@dataclass(frozen=True, kw_only=True)
class NetworkSettings(ImageSettings):
    """Which network looks at the images, and which of its outputs are used.

    Attributes:
        backbone: one of `BACKBONES`, under torchvision's names, or ``timm:NAME``. ``auto`` takes
            ``efficientnet_lite0`` with the weights ``default``, and ``resnet18`` with others. What
            is installed has no say in it, so that a fit is the same everywhere.
        weights: ``default``, ``imagenet``, ``untrained``, or the path of a .safetensors or .pth
            file. ``default`` is ``imagenet`` for EfficientNet-Lite, and what is in this package for
            ``procedural`` (trained on procedural images alone) and ``scattering`` (fixed filters;
            see the modules of these names). ``imagenet`` is the published file: of
            EfficientNet-Lite it is in a package of its own, of others torchvision's or timm's.
            ``untrained`` is seeded random numbers, for demonstrations.
        layers: the stages (of a DenseNet the dense blocks) j in 1-4 whose outputs are used,
            shallowest first. Stage j is the part of the network that works at 1 / 2^(j+1) of the
            input's size.
        taps: how many outputs each of these stages has: the last block's, and others evenly spaced
            before it. See `edge_ad.networks.taps`.
    """

    backbone: Annotated[str, OneOf(("auto", *BACKBONES), prefix="timm:")] = setting(
        "auto",
        help="The network. Those of timm need the extra edge-ad[timm]. With the weights default, "
        "auto is efficientnet_lite0 (of the extra edge-ad[lite]); with others it is resnet18. "
        "procedural is in edge-ad itself.",
        group=_GROUP,
    )
    weights: str = setting(
        "default",
        help="Its weights: default (those that are installed), imagenet (the published ones, "
        "downloaded once), untrained (random numbers), or a .safetensors or .pth file.",
        group=_GROUP,
    )
    layers: Layers = layers_setting((2, 3))
    taps: Annotated[int, Between(1, 8)] = setting(
        1,
        help="How many outputs of each stage are used: the last block's, and others evenly spaced "
        "before it.",
        group=_GROUP,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        name, weights = self.resolved_backbone, self.weights
        if weights == "default" and name not in (*LITE, *OWN):
            raise ConfigError(
                f"backbone is {name!r} and weights 'default', which only "
                f"{', '.join((*LITE, *OWN))} have; give --weights imagenet or a file"
            )
        alone = name == "scattering" or (name == "procedural" and weights == "imagenet")
        if alone and weights != "default":
            raise ConfigError(
                f"backbone is {name!r} and weights {weights!r}; give --weights default"
            )
        if self.taps > 1 and name not in (*RESNETS, *LITE):
            raise ConfigError(
                f"backbone is {name!r} and taps {self.taps}; only ResNets and EfficientNet-Lite "
                "have more than one output of each stage; give --taps 1"
            )

    @property
    def resolved_backbone(self) -> str:
        """The backbone's name, where it is ``auto``."""
        if self.backbone != "auto":
            return self.backbone
        return LITE[0] if self.weights == "default" else "resnet18"

    def resolved(self) -> Self:
        """See `ImageSettings.resolved`.

        Raises:
            ConfigError: the weights are not there. It is better said before images are read.
        """
        name = self.resolved_backbone
        is_published = name in LITE and self.weights == "default"
        weights = "imagenet" if is_published else self.weights
        check_weights(name, weights)
        return replace(self, backbone=name, weights=weights)


def check_weights(name: str, weights: str) -> None:
    """Refuse weights that would have to be on this machine and are not.

    Args:
        name: the network's.
        weights: as in `NetworkSettings`.

    Raises:
        ConfigError: there is no such file, or the package with the published ones is not installed.
    """
    if name in LITE and weights in ("default", "imagenet"):
        published_weights(name)
    elif weights not in ("default", "untrained", "imagenet") and not Path(weights).is_file():
        raise ConfigError(
            f"weights is {weights!r}; there is no such file (give a .safetensors or .pth file, "
            "'default', 'imagenet' or 'untrained')"
        )
