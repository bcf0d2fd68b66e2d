"""The settings of the histogram method."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from edge_ad.methods.settings import FitSettings
from edge_ad_runtime.artifact.bounds import Between
from edge_ad_runtime.settings import setting


@dataclass(frozen=True, kw_only=True)
class Settings(FitSettings):
    """Beside what every fit has, how fine the histograms are.

    Attributes:
        bins: of each colour, 2 to 32.
        cell_px: side of the square cells that have a histogram each.
    """

    method: ClassVar[str] = "histogram"

    bins: Annotated[int, Between(2, 32)] = setting(8, help="Bins of each colour's histogram.")
    cell_px: Annotated[int, Between(4, 64)] = setting(8, help="Side of the cells in pixels.")
