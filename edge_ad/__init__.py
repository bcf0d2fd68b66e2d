"""edge_ad's workshop: learn what good parts look like, and know the slow truth about it.

>>> from edge_ad import PatchCoreConfig, fit                                  # doctest: +SKIP
>>> fitted = fit("good_parts", PatchCoreConfig())                             # doctest: +SKIP
>>> fitted.save("part.fit")                                                   # doctest: +SKIP

The names below are imported on first use, so that ``edge-ad --help`` does not wait for torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edge_ad.fitting.fitted import FittedDetector
    from edge_ad.fitting.fitting import fit
    from edge_ad.fitting.reference_detector import ReferenceDetector
    from edge_ad.methods.energy.settings import EnergyConfig
    from edge_ad.methods.padim.settings import PadimConfig
    from edge_ad.methods.patchcore.settings import PatchCoreConfig
    from edge_ad.methods.spade.settings import SpadeConfig
    from edge_ad.methods.uflow.settings import UFlowConfig

__version__ = "0.1.0"
__all__ = [
    "EnergyConfig",
    "FittedDetector",
    "PadimConfig",
    "PatchCoreConfig",
    "ReferenceDetector",
    "SpadeConfig",
    "UFlowConfig",
    "__version__",
    "fit",
]

_HOMES = {
    "EnergyConfig": "edge_ad.methods.energy.settings",
    "FittedDetector": "edge_ad.fitting.fitted",
    "PadimConfig": "edge_ad.methods.padim.settings",
    "PatchCoreConfig": "edge_ad.methods.patchcore.settings",
    "ReferenceDetector": "edge_ad.fitting.reference_detector",
    "SpadeConfig": "edge_ad.methods.spade.settings",
    "UFlowConfig": "edge_ad.methods.uflow.settings",
    "fit": "edge_ad.fitting.fitting",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'edge_ad' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
