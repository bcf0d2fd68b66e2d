"""What the manifest says of a head `a-contrario`: its scales, its test and what good images cost.

The code is in `edge_ad_runtime.heads.a_contrario`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from edge_ad_runtime.artifact.strict import AtMost, Between
from edge_ad_runtime.artifact.words import NotNegative, Side


@dataclass(frozen=True, kw_only=True)
class TreeTestRecord:
    """The test of regions of any shape, see `edge_ad_runtime.decision.a_contrario.tree`.

    Attributes:
        counting: how the false alarms are shared among the regions. ``paper`` shares them among all
            alike, and ``by-size`` among the sizes.
    """

    kind: Literal["tree"] = "tree"
    counting: Literal["paper", "by-size"]


@dataclass(frozen=True, kw_only=True)
class BlockTestRecord:
    """The test of square windows, see `edge_ad_runtime.decision.a_contrario.blocks`.

    Attributes:
        window: the side of the windows on the finest grid.
        quantile: the quantile of the chi-squared distribution that exceeding latents are above.
    """

    kind: Literal["blocks"] = "blocks"
    window: Annotated[int, Between(3, 63)]
    quantile: Annotated[float, Between(0.01, 0.99)]


@dataclass(frozen=True, kw_only=True)
class ScaleRecord:
    """One scale of latents.

    Attributes:
        grid: the ``(rows, cols)`` of the output ``level_0``, ``level_1`` and so on.
        degrees: how many independent latents a position counts as. It is the number of their
            channels, or less if levels of good images vary more than these would let them.
    """

    grid: tuple[Side, Side]
    degrees: Annotated[float, Between(1e-6, 65_536)]


@dataclass(frozen=True, kw_only=True)
class AContrarioRecord:
    """The head of U-Flow, which asks how many regions as unusual as the image's noise would show.

    Attributes:
        scales: the scales, finest first.
        test: which regions are tested, and how.
        price: the decades that log10 of the number of false alarms is raised by, because good
            images show more than noise would.
    """

    kind: Literal["a-contrario"] = "a-contrario"
    scales: Annotated[tuple[ScaleRecord, ...], AtMost(8)]
    test: TreeTestRecord | BlockTestRecord
    price: NotNegative

    def __post_init__(self) -> None:
        if not self.scales:
            raise ValueError("scales: expected at least one, found []")
        if isinstance(self.test, BlockTestRecord):
            sides = [side for scale in self.scales for side in scale.grid]
            if min(sides) <= self.test.window // 2:  # it is mirrored at the border
                raise ValueError(f"a window of {self.test.window} does not fit on all of the grids")
