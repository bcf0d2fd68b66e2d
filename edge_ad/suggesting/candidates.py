"""The settings that are tried: networks, sizes and layers, for images of a given shape."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import product

from edge_ad.methods.patchcore.settings import PatchCoreConfig
from edge_ad.networks.lite_package import is_installed
from edge_ad.networks.settings import LITE, OWN
from edge_ad.suggesting.settings import SuggestSettings

SIDES = (224, 320, 448)
LAYERS = ((2, 3), (1, 2))

_STEP = 32  # what the deepest stage shrinks by
_NEARLY_SQUARE = 1.15
_MOST_ENLARGED = 1.2


def candidates(shape: tuple[int, int], settings: SuggestSettings) -> list[PatchCoreConfig]:
    """All settings, those of one network and one size one after the other.

    Args:
        shape: the ``(height, width)`` of the images as they come.
        settings: what was asked.

    Raises:
        ConfigError: there is no such network.
    """
    found = []
    for network, size in product(_networks(settings), sizes(shape)):
        layers = LAYERS[:1] if network.backbone in OWN else LAYERS  # these have no other stages
        found += [replace(network, size=size, layers=each) for each in layers]
    return found


def sizes(shape: tuple[int, int]) -> list[tuple[int, int]]:
    """The sizes to try, in the images' own proportions, and none that enlarges them much.

    >>> sizes((640, 640))
    [(224, 224), (320, 320), (448, 448)]
    >>> sizes((480, 640))
    [(192, 256), (288, 384), (384, 512)]
    >>> sizes((200, 200))
    [(224, 224)]
    """
    height, width = shape
    ratio = height / width
    if 1 / _NEARLY_SQUARE < ratio < _NEARLY_SQUARE:
        ratio = 1.0
    found = [(_whole(side * math.sqrt(ratio)), _whole(side / math.sqrt(ratio))) for side in SIDES]
    found = list(dict.fromkeys(found))
    return found[:1] + [s for s in found[1:] if s[0] <= _MOST_ENLARGED * height]


def _whole(side: float) -> int:
    return max(_STEP, round(side / _STEP) * _STEP)


def _networks(settings: SuggestSettings) -> Sequence[PatchCoreConfig]:
    found = [PatchCoreConfig(backbone=LITE[0])] if is_installed(LITE[0]) else []
    found.append(PatchCoreConfig(backbone="procedural"))
    if settings.weights is not None:
        found.append(PatchCoreConfig(backbone=settings.backbone, weights=settings.weights))
    return [config.resolved() for config in found]
