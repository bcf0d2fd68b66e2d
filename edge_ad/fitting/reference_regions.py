"""The slow truth about where an image is anomalous: regions looked at one by one.

It shares no code with the device's `find_regions`, but for the geometry of the preprocessing, which
has one home.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import label

from edge_ad_runtime.decision.regions import MOST_REGIONS, Region
from edge_ad_runtime.images.preprocess import Placement


def reference_regions(
    values: NDArray[np.floating], threshold: float, placement: Placement
) -> tuple[Region, ...]:
    """See `edge_ad_runtime.decision.regions.find_regions`."""
    above = np.asarray(values, np.float64) > threshold
    labels, count = label(above, structure=np.ones((3, 3)))  # 8-connected
    found = []
    for i in range(1, count + 1):
        positions = np.argwhere(labels == i)  # (n, 2), rows rising
        inside = values[labels == i]
        top, left = positions.min(axis=0).tolist()
        height, width = (positions.max(axis=0) + 1 - (top, left)).tolist()
        row, col = positions[inside.argmax()].tolist()
        area = len(positions) * placement.row_scale * placement.col_scale
        region = Region(
            box=placement.box(top, left, height, width),
            area_px=max(1, round(area)),
            peak=placement.pixel(row, col),
            peak_score=float(inside.max()),
        )
        found.append((-region.peak_score, top, left, region))
    return tuple(each[-1] for each in sorted(found, key=lambda each: each[:3])[:MOST_REGIONS])
