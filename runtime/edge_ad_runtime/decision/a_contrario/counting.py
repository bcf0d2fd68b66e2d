"""How many regions are tested. The number of false alarms is this times a region's probability.

A grid of n positions has about n b a^r / r regions of r positions that hang together (4-connected),
with a = 4.062570 and b = 0.316915 (Jensen & Guttmann 2000: how the number of polyominoes grows).
There are two ways to share the false alarms among them:

- ``paper`` (Tailanian et al. 2022): all regions of all sizes and scales share alike. As there are
  far more large regions than small ones, a small region must bring the evidence of a large one: on
  a 64 x 64 grid 2,493 decades.
- ``by-size``: every scale, and within it every size, gets the same share of the false alarms. A
  region of r positions pays for the regions of r positions, about 0.61 decades a position.

Both bound the expected number of false alarms of an image of noise by 10^(log10 NFA).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Counting = Literal["paper", "by-size"]

_GROWTH = 4.062570
_SHARE = 0.316915


def log10_regions(positions: int) -> NDArray[np.float64]:
    """The number of regions of each size on a grid.

    Returns:
        ``(positions,)``, log10 of the number of regions of 1, 2, ... positions.

    >>> log10_regions(1).round(4).tolist()
    [0.1097]
    """
    sizes = np.arange(1, positions + 1)
    each = np.log10(positions) + np.log10(_SHARE) + sizes * np.log10(_GROWTH) - np.log10(sizes)
    return np.asarray(each, np.float64)


def log10_tests(grids: Sequence[tuple[int, int]], counting: Counting) -> list[NDArray[np.float64]]:
    """What log10 p of a region is raised by, to be the log10 of its number of false alarms.

    Args:
        grids: the ``(rows, cols)`` of each scale.
        counting: how the false alarms are shared.

    Returns:
        For each scale ``(rows * cols,)``, for regions of 1, 2, ... positions.

    >>> round(float(log10_tests([(28, 28), (14, 14)], "paper")[0][0]), 4)
    476.9237
    """
    of_scales = [log10_regions(rows * cols) for rows, cols in grids]
    if counting == "by-size":
        return [each + np.log10(len(grids) * len(each)) for each in of_scales]
    total = _log10_sum(np.concatenate(of_scales))
    return [np.full(len(each), total) for each in of_scales]


def _log10_sum(logs: NDArray[np.float64]) -> float:
    """log10 of a sum of numbers that are too large to be written out."""
    largest = logs.max()
    return float(largest + np.log10((10 ** (logs - largest)).sum()))
