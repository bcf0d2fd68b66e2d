"""The backbones: torchvision's, timm's and EfficientNet-Lite by their names, and our own."""

from __future__ import annotations

from collections.abc import Sequence

from edge_ad.networks.densenet import DenseNet
from edge_ad.networks.efficientnet_lite import EfficientNetLite
from edge_ad.networks.procedural import Procedural
from edge_ad.networks.resnet import ResNet
from edge_ad.networks.scattering import Scattering
from edge_ad.networks.settings import LITE
from edge_ad.networks.timm_backbone import PREFIX, TimmBackbone

Backbone = ResNet | DenseNet | EfficientNetLite | Procedural | Scattering | TimmBackbone

IMAGENET_FILES = {  # torchvision's IMAGENET1K_V1. Names end in the SHA-256's first digits
    "resnet18": "resnet18-f37072fd.pth",
    "resnet34": "resnet34-b627a593.pth",
    "resnet50": "resnet50-0676ba61.pth",
    "resnet101": "resnet101-63fe2227.pth",
    "wide_resnet50_2": "wide_resnet50_2-95faca4d.pth",
    "wide_resnet101_2": "wide_resnet101_2-32ee1156.pth",
    "resnext101_32x8d": "resnext101_32x8d-8ba56ff5.pth",
    "densenet201": "densenet201-c1103571.pth",
}


def build_backbone(
    name: str, layers: Sequence[int], size: tuple[int, int] = (224, 224), *, taps: int = 1
) -> Backbone:
    """A network truncated after the last of ``layers``, its weights not yet loaded.

    See `edge_ad.networks.settings.NetworkSettings` for what the arguments mean.

    Raises:
        ConfigError: see `TimmBackbone`, `Procedural`.
    """
    if name.startswith(PREFIX):
        return TimmBackbone(name.removeprefix(PREFIX), layers, size)
    if name == "procedural":
        return Procedural(layers)
    if name == "scattering":
        return Scattering(layers)
    if name in LITE:
        return EfficientNetLite(name, layers, taps)
    return DenseNet(layers) if name == "densenet201" else ResNet(name, layers, taps)
