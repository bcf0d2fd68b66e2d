"""What is compared: each method with its default settings, on two networks.

SPADE has two rows more: its public implementation looks at 5 images, where the paper has 50.
"""

from __future__ import annotations

from benchmarks.harness.record import imagenet_resnet18
from edge_ad import EnergyConfig, PatchCoreConfig
from edge_ad.methods.padim.settings import PadimConfig
from edge_ad.methods.settings import FitSettings
from edge_ad.methods.spade.settings import SpadeConfig

RESNET, LITE = "ResNet18", "EfficientNet-Lite0"


def candidates() -> dict[str, dict[str, FitSettings]]:
    """Settings by method and network. All have ImageNet's weights and see the whole image."""
    networks = {
        RESNET: ("resnet18", imagenet_resnet18()),
        LITE: ("efficientnet_lite0", "imagenet"),
    }
    return {
        name: {
            "PatchCore": PatchCoreConfig(backbone=backbone, weights=weights),
            "PaDiM": PadimConfig(backbone=backbone, weights=weights),
            "SPADE, K = 5": SpadeConfig(backbone=backbone, weights=weights, gallery_neighbours=5),
            "SPADE, K = 5, score of the map": SpadeConfig(
                backbone=backbone, weights=weights, gallery_neighbours=5, score="map"
            ),
            "SPADE": SpadeConfig(backbone=backbone, weights=weights),
            "Energy": EnergyConfig(backbone=backbone, weights=weights),
        }
        for name, (backbone, weights) in networks.items()
    }
