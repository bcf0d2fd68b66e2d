"""The slow truth: the test of an image's levels, on explicit sets of positions.

The network's levels are taken as they are. From there on all is written down again: regions as
masks, labelled anew at every level, the binomial's tail by scipy, enlarging by torch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import label
from scipy.special import logsumexp
from scipy.stats import binom
from torch.nn import functional

from edge_ad.methods.uflow.settings import UFlowConfig
from edge_ad.networks.run import Run

FloatArray = NDArray[np.float64]


class UFlowReference:
    """What the exported detector must agree with. See `edge_ad.methods.Reference`.

    Args:
        run: the network.
        settings: the settings that the network was fitted with.
        degrees: the degrees of freedom of each scale's levels.
        price: the decades that log10 of the number of false alarms is raised by.
        window: the side of the windows on the finest grid, where windows are tested.
        quantile: the quantile of the chi-squared distribution that exceeding latents are above.
    """

    map_in_unit_of_score = False  # its significance is

    def __init__(
        self,
        run: Run,
        settings: UFlowConfig,
        *,
        degrees: list[float],
        price: float,
        window: int,
        quantile: float,
    ) -> None:
        self._run = run
        self._degrees = degrees
        self._price = price
        self._settings = settings
        self._window = window
        self._quantile = quantile

    def trace(self, preprocessed: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:
        """See `edge_ad.methods.Reference.trace`."""
        outputs = {name: value[0] for name, value in self._run(preprocessed[np.newaxis]).items()}
        size = preprocessed.shape[:2]
        of_scales = range(len(self._degrees))
        levels = [outputs[f"level_{scale}"].astype(np.float64) for scale in of_scales]
        if self._settings.test == "tree":
            significance = self._by_tree(levels, size)
        else:
            exceeding = [outputs[f"exceeding_{scale}"].astype(np.float64) for scale in of_scales]
            significance = self._by_windows(exceeding, size)
        significance = significance - self._price
        likelihood = np.mean([_bilinear(np.exp(-level / 2), size) for level in levels], axis=0)
        return {
            **outputs,
            "significance": significance.astype(np.float32),
            "map": (1 - likelihood).astype(np.float32),
            "score": np.asarray(significance.max()),
        }

    def _by_tree(self, levels: list[FloatArray], size: tuple[int, ...]) -> FloatArray:
        positions = [level.size for level in levels]
        maps = []
        for level, degrees in zip(levels, self._degrees, strict=True):
            if self._settings.counting == "paper":
                tests = [_log10_all_regions(positions)] * level.size
            else:
                shared = math.log10(len(levels) * level.size)
                tests = [shared + _log10_regions(level.size, r + 1) for r in range(level.size)]
            maps.append(_bilinear(region_map(level, degrees, tests), size))
        return np.asarray(-np.min(maps, axis=0))

    def _by_windows(self, exceeding: list[FloatArray], size: tuple[int, ...]) -> FloatArray:
        total = math.log10(sum(each.size for each in exceeding))
        summed = np.zeros(size)
        for scale, each in enumerate(exceeding):
            half = max(math.floor(self._window / 2**scale) // 2, 1)
            n = (2 * half + 1) ** 2
            k = np.empty(each.shape)
            rows, cols = each.shape
            for row in range(rows):
                for col in range(cols):
                    k[row, col] = sum(
                        each[_mirrored(row + i, rows), _mirrored(col + j, cols)]
                        for i in range(-half, half + 1)
                        for j in range(-half, half + 1)
                    )
            k = np.minimum(k + 1e-6, n - 1)  # the largest would have no tail at all
            log10_p = binom.logsf(k, n, 1 - self._quantile) / math.log(10)
            grid = torch.from_numpy(log10_p)[None, None]
            summed += functional.interpolate(
                grid, size=tuple(size), mode="bicubic", align_corners=True
            )[0, 0].numpy()
        return -(summed + total)


@dataclass(frozen=True)
class _Region:
    """A region that is part of no other so far.

    Attributes:
        at: one of its positions.
        is_whole: see `edge_ad_runtime.decision.a_contrario.tree`.
        nfa: the log10 NFA of its best.
        best: the positions of its best.
    """

    at: tuple[int, ...]
    is_whole: bool
    nfa: float
    best: NDArray[np.bool_]


def region_map(levels: FloatArray, degrees: float, log10_tests: list[float]) -> FloatArray:
    """The log10 NFA of the region that counts at each position, by the published rule.

    Args:
        levels: ``(rows, cols)``.
        degrees: the degrees of freedom of a level.
        log10_tests: the log10 number of tests of a region of 1, 2, ... positions.
    """
    found = np.full(levels.shape, log10_tests[0])

    def count(region: _Region) -> None:
        if region.is_whole:
            found[region.best] = min(region.nfa, log10_tests[0])

    roots: list[_Region] = []
    for level in np.unique(levels)[::-1]:
        labels, _ = label(levels >= level)  # 4-connected
        for new in np.unique(labels[levels == level]):
            region = labels == new
            children = [root for root in roots if region[root.at]]
            roots = [root for root in roots if not region[root.at]]
            area = int(region.sum())
            each = degrees / 2 * (level - 1 - math.log(level)) / math.log(10) if level > 1 else 0.0
            own = log10_tests[area - 1] - area * each
            at = tuple(np.argwhere(region)[0])
            if not children:
                roots.append(_Region(at, True, own, region))
            elif len(children) == 1 and children[0].is_whole and children[0].nfa <= own:
                roots.append(_Region(at, True, children[0].nfa, children[0].best))
            elif len(children) == 1 and children[0].is_whole:
                roots.append(_Region(at, True, own, region))
            elif len(children) > 1 and all(c.is_whole and own <= c.nfa for c in children):
                roots.append(_Region(at, True, own, region))
            else:
                for child in children:
                    count(child)
                roots.append(_Region(at, False, own, region))
    for root in roots:
        count(root)
    return found


def _log10_regions(positions: int, size: int) -> float:
    """log10 of positions * 0.316915 * 4.06257^size / size."""
    return math.log10(positions * 0.316915 / size) + size * math.log10(4.062570)


def _log10_all_regions(positions: list[int]) -> float:
    every = [_log10_regions(n, size) for n in positions for size in range(1, n + 1)]
    return float(logsumexp(np.array(every) * math.log(10)) / math.log(10))


def _bilinear(grid: FloatArray, size: tuple[int, ...]) -> FloatArray:
    enlarged = functional.interpolate(
        torch.from_numpy(grid)[None, None], size=tuple(size), mode="bilinear", align_corners=False
    )
    return np.asarray(enlarged[0, 0].numpy())


def _mirrored(at: int, length: int) -> int:
    """The position that a window sees beyond the border, which is not repeated."""
    at = abs(at)
    return at if at < length else 2 * (length - 1) - at
