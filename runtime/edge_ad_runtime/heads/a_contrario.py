"""The head `a-contrario`: regions that noise would not show, of latents that a flow gives.

U-Flow's (Tailanian et al. 2022). The score is the largest -log10 NFA of the image, so a threshold
of 0 expects one false alarm in each image of noise, and one of 2 a hundredth. See
`edge_ad_runtime.decision.a_contrario`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_ad_runtime.artifact.a_contrario_records import AContrarioRecord, BlockTestRecord
from edge_ad_runtime.artifact.npy import Shaped
from edge_ad_runtime.decision.a_contrario.blocks import log10_nfa_of_windows
from edge_ad_runtime.decision.a_contrario.nfa import significance_by_tree
from edge_ad_runtime.heads import (
    MAP,
    POSTPROCESS,
    SCORE,
    SIGNIFICANCE,
    Arrays,
    Judged,
    Opening,
    Stage,
)
from edge_ad_runtime.heads.features import finite
from edge_ad_runtime.stopwatch import Stopwatch


def level_name(scale: int) -> str:
    """The output ``(N, rows, cols)`` float32 of one scale: the mean of z^2 over its channels."""
    return f"level_{scale}"


def exceeding_name(scale: int) -> str:
    """The output ``(N, rows, cols)`` float32 of one scale: the share of channels that exceed."""
    return f"exceeding_{scale}"


def likelihood_map(
    levels: Sequence[NDArray[np.float32]], size: tuple[int, int]
) -> NDArray[np.float32]:
    """1 - the mean over the scales of exp(-level / 2), ``size`` float32 from 0 to 1.

    >>> float(likelihood_map([np.zeros((1, 2), np.float32)], (2, 2)).max())
    0.0
    """
    height, width = size
    total = np.zeros(size, np.float32)
    for level in levels:
        total += cv2.resize(np.exp(-level / 2), (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(1 - total / len(levels), np.float32)


class AContrario:
    """See `edge_ad_runtime.heads.Head`."""

    timed: tuple[str, ...] = (SIGNIFICANCE, POSTPROCESS)
    search: str | None = None
    in_decades: bool = True
    map_in_unit_of_score: bool = False

    def __init__(self, record: AContrarioRecord, opening: Opening) -> None:
        self._record = record
        self._size = opening.size
        scales = range(len(record.scales))
        self._levels = [level_name(scale) for scale in scales]
        has_windows = isinstance(record.test, BlockTestRecord)
        self._exceeding = [exceeding_name(scale) for scale in scales] if has_windows else []
        names = [*self._levels, *self._exceeding]
        grids = [scale.grid for scale in record.scales]
        pairs = zip(names, [*grids, *grids], strict=False)
        self.outputs: Mapping[str, Shaped] = {
            name: Shaped(np.float32, grid) for name, grid in pairs
        }
        self.shapes: Mapping[str, Shaped] = {
            **self.outputs,
            SIGNIFICANCE: Shaped(np.float32, opening.size),
            MAP.name: Shaped(np.float32, opening.size),
            SCORE.name: Shaped(np.float64, ()),
        }
        self.stages: tuple[Stage, ...] = (
            *(
                Stage(name=name, compared="largest", in_unit_of_score=False, most_tolerance=0.1)
                for name in (*names, SIGNIFICANCE)
            ),
            MAP,
            SCORE,
        )

    def replay(self, stage: str, before: Arrays) -> NDArray[Any]:
        """See `Head.replay`."""
        if stage in self.outputs:
            return finite(before[stage], giver="the flow")
        if stage == SIGNIFICANCE:
            return self._significance(before)
        if stage == MAP.name:
            return self._map(before)
        return np.asarray(float(before[SIGNIFICANCE].max()))

    def judge(self, outputs: Arrays, *, with_map: bool) -> Judged:
        """See `Head.judge`."""
        clock = Stopwatch()
        for name in self.outputs:
            finite(outputs[name], giver="the flow")
        significance = self._significance(outputs)
        clock.lap(SIGNIFICANCE)
        heat = self._map(outputs) if with_map else None
        clock.lap(POSTPROCESS)
        return Judged(
            score=float(significance.max()),
            map=heat,
            significance=significance if with_map else None,
            evidence={},
            timings_ms=clock.laps_ms,
        )

    def close(self) -> None:
        """See `Head.close`. There is nothing to give back."""

    def _significance(self, values: Arrays) -> NDArray[np.float32]:
        test = self._record.test
        if isinstance(test, BlockTestRecord):
            exceeding = [values[name] for name in self._exceeding]
            log10_nfa = log10_nfa_of_windows(exceeding, self._size, test.window, test.quantile)
            return np.asarray(-log10_nfa - self._record.price, np.float32)
        levels = [values[name] for name in self._levels]
        degrees = [scale.degrees for scale in self._record.scales]
        found = significance_by_tree(levels, degrees, self._size, test.counting)
        return np.asarray(found - self._record.price, np.float32)

    def _map(self, values: Arrays) -> NDArray[np.float32]:
        return likelihood_map([values[name] for name in self._levels], self._size)
