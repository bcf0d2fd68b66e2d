"""torchvision, also beside a torch that its wheel was not built for.

PyPI's torchvision is built for torch with CUDA. Beside torch for CPUs its compiled operators do not
load, and its import stops where it describes two of them. PatchCore uses none of them. So these two
are declared, without anything behind them: calling one is still an error.
"""

from __future__ import annotations

import importlib
from typing import Any

_DESCRIBED = ("nms", "qnms")
_declared: list[Any] = []  # torch takes back what nobody holds


def import_torchvision() -> None:
    """Import it, before the library that does."""
    try:
        importlib.import_module("torchvision")
    except RuntimeError as exc:
        if "operator torchvision::" not in str(exc):
            raise
        library: Any = importlib.import_module("torch.library")
        operators = library.Library("torchvision", "DEF")
        for name in _DESCRIBED:
            operators.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        _declared.append(operators)
        importlib.import_module("torchvision")
