"""A fitted detector becomes an artifact: one folder that a device can trust.

>>> from edge_ad_export import ExportConfig, export                         # doctest: +SKIP
>>> export(fitted, "line3.edgead", ExportConfig()).search.kind              # doctest: +SKIP
'exact'
"""

from edge_ad_export.config import ExportConfig, ExportReport
from edge_ad_export.exporting import export

__all__ = ["ExportConfig", "ExportReport", "export"]
