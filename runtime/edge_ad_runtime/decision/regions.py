"""The places of an image that a verdict is about: where, how large, and where most."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_ad_runtime.decision.threshold import is_above
from edge_ad_runtime.images.preprocess import Placement

MOST_REGIONS = 100

TABLE_SHAPE = (MOST_REGIONS, 8)


@dataclass(frozen=True, kw_only=True)
class Region:
    """A part of the image that hangs together (8-connected) and is above the threshold.

    All is in pixels of the image as the camera gave it.

    Attributes:
        box: ``(top, left, height, width)`` of the smallest upright box around it.
        area_px: how many pixels it has. A region is found in pixels of the network's input, so this
            is rounded.
        peak: ``(row, column)`` of its largest value.
        peak_score: that value, in the unit of the score.
    """

    box: tuple[int, int, int, int]
    area_px: int
    peak: tuple[int, int]
    peak_score: float

    def to_record(self) -> dict[str, Any]:
        """The region for JSON."""
        return {
            "box": list(self.box),
            "area_px": self.area_px,
            "peak": list(self.peak),
            "peak_score": self.peak_score,
        }


def as_table(regions: Sequence[Region]) -> NDArray[np.float64]:
    """Regions as an array of one shape, as ``verify`` keeps them.

    Args:
        regions: at most `MOST_REGIONS`.

    Returns:
        `TABLE_SHAPE`. A row holds a region's box (top, left, height, width), its area, its peak
        (row, column) and the value there. The rows after the last region are 0, and so is their
        area.

    >>> as_table([Region(box=(1, 2, 3, 4), area_px=9, peak=(2, 2), peak_score=0.5)])[0].tolist()
    [1.0, 2.0, 3.0, 4.0, 9.0, 2.0, 2.0, 0.5]
    """
    table = np.zeros(TABLE_SHAPE)
    for row, each in zip(table, regions, strict=False):
        row[:] = (*each.box, each.area_px, *each.peak, each.peak_score)
    return table


def find_regions(
    values: NDArray[np.float32], threshold: float, placement: Placement
) -> tuple[Region, ...]:
    """The regions whose values are above the threshold, the one of the highest peak first.

    Of two peaks that are equally high, the one comes first whose region begins farther up, and then
    farther to the left.

    Args:
        values: ``(H, W)`` of the network's input, in the unit of the score.
        threshold: what a region is above.
        placement: where the network's input is on the image.

    Returns:
        At most `MOST_REGIONS`, those with the highest peaks.
    """
    above = is_above(values, threshold).astype(np.uint8)
    count, found, stats, _ = cv2.connectedComponentsWithStats(above)
    if count == 1:  # the background
        return ()
    labels = np.asarray(found, np.int32)
    peaks = np.full(count, -np.inf)
    np.maximum.at(peaks, labels.ravel(), values.ravel())
    lefts, tops = stats[1:, cv2.CC_STAT_LEFT], stats[1:, cv2.CC_STAT_TOP]
    order = 1 + np.lexsort((lefts, tops, -peaks[1:]))[:MOST_REGIONS]
    return tuple(_region(values, labels, np.asarray(stats[i]), int(i), placement) for i in order)


def _region(
    values: NDArray[np.float32],
    labels: NDArray[np.int32],
    stats: NDArray[Any],
    label: int,
    placement: Placement,
) -> Region:
    left, top, width, height, area = (int(each) for each in stats)
    inside = np.s_[top : top + height, left : left + width]
    of_region = np.where(labels[inside] == label, values[inside], -np.inf)
    row, col = np.unravel_index(int(of_region.argmax()), of_region.shape)
    return Region(
        box=placement.box(top, left, height, width),
        area_px=max(1, round(area * placement.row_scale * placement.col_scale)),
        peak=placement.pixel(top + int(row), left + int(col)),
        peak_score=float(of_region.max()),
    )
