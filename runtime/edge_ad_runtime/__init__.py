"""edge_ad's device side: load an artifact, score images, prove it, time it. No torch.

>>> from edge_ad_runtime import Detector                          # doctest: +SKIP
>>> Detector.load("line3.edgead").predict("part.png").verdict     # doctest: +SKIP
'good'

The names below are imported on first use, so that ``edge-ad --help`` does not wait for numpy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edge_ad_runtime.detector import Detector
    from edge_ad_runtime.prediction import Prediction

__version__ = "0.1.0"
__all__ = ["Detector", "Prediction", "__version__"]

_HOMES = {
    "Detector": "edge_ad_runtime.detector",
    "Prediction": "edge_ad_runtime.prediction",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'edge_ad_runtime' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
