"""A fitted detector becomes an artifact: one folder that a device can trust.

>>> from edge_ad_export import ExportConfig, export                         # doctest: +SKIP
>>> export(fitted, "line3.edgead", ExportConfig()).size_bytes              # doctest: +SKIP
17384201

The names below are imported on first use, so that ``edge-ad --help`` does not wait for torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edge_ad_export.exporting import export
    from edge_ad_export.report import ExportReport
    from edge_ad_export.settings import ExportConfig

__all__ = ["ExportConfig", "ExportReport", "export"]

_HOMES = {
    "ExportConfig": "edge_ad_export.settings",
    "ExportReport": "edge_ad_export.report",
    "export": "edge_ad_export.exporting",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'edge_ad_export' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
