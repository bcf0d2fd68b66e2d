"""The settings of every method that has a pretrained network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from edge_ad.images.settings import ImageSettings
from edge_ad_runtime.artifact.bounds import OneOf, Rising
from edge_ad_runtime.errors import ConfigError
from edge_ad_runtime.settings import Spelling, setting

BACKBONES = (
    "resnet18",
    "resnet34",
    "resnet50",
    "resnet101",
    "wide_resnet50_2",
    "wide_resnet101_2",
    "resnext101_32x8d",
    "densenet201",
    "procedural",
    "scattering",
)
OWN = ("procedural", "scattering")  # those with the weights 'default'

_GROUP = "Network"


def _parse_layers(text: str) -> tuple[int, ...]:
    """``2,3`` to ``(2, 3)``."""
    parts = [part.strip().removeprefix("layer") for part in text.split(",")]
    if not all(part.isdecimal() for part in parts):
        raise ValueError(f"{text!r} is not a list of layers such as 2,3")
    return tuple(int(part) for part in parts)


def _show_layers(layers: tuple[int, ...]) -> str:
    return ",".join(map(str, layers))


@dataclass(frozen=True, kw_only=True)
class NetworkSettings(ImageSettings):
    """Which network looks at the images, and which of its outputs are used.

    Attributes:
        backbone: one of `BACKBONES`, under torchvision's names, or ``timm:NAME``. ``auto`` takes
            ``procedural`` with the weights ``default``, and ``resnet18`` with others.
        weights: ``default``, ``imagenet``, ``untrained``, or the path of a .safetensors or .pth
            file. ``default`` comes with the package: the weights of ``procedural``, trained on
            procedural images alone, or the fixed filters of ``scattering`` (see the modules of
            these names). ``imagenet`` is torchvision's published file, or what timm publishes for
            a timm network. ``untrained`` is seeded random numbers, for demonstrations.
        layers: the residual stages (of a DenseNet the dense blocks) j in 1-4 whose outputs are
            used, shallowest first.
    """

    backbone: Annotated[str, OneOf(("auto", *BACKBONES), prefix="timm:")] = setting(
        "auto",
        help="The network. Those of timm need the extra edge-ad[timm]; auto is procedural with "
        "the weights default, and resnet18 with others.",
        group=_GROUP,
    )
    weights: str = setting(
        "default",
        help="Its weights: default (in the package, trained on drawn images alone), imagenet "
        "(downloaded once), untrained (random numbers), or a .safetensors or .pth file.",
        group=_GROUP,
    )
    layers: Annotated[tuple[int, ...], Rising((1, 2, 3, 4))] = setting(
        (2, 3),
        help="The stages of the network whose outputs are used, such as 2,3.",
        spelling=Spelling("LAYERS", _parse_layers, _show_layers),
        group=_GROUP,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        name, weights = self.resolved_backbone, self.weights
        if weights == "default" and name not in OWN:
            raise ConfigError(
                f"backbone is {name!r} and weights 'default', which only {' and '.join(OWN)} "
                "have; give --weights imagenet or a file"
            )
        alone = name == "scattering" or (name == "procedural" and weights == "imagenet")
        if alone and weights != "default":
            raise ConfigError(
                f"backbone is {name!r} and weights {weights!r}; give --weights default"
            )

    @property
    def resolved_backbone(self) -> str:
        """The backbone's name, where it is ``auto``."""
        if self.backbone != "auto":
            return self.backbone
        return "procedural" if self.weights == "default" else "resnet18"
