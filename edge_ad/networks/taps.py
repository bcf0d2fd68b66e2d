"""Taps: the blocks of a stage whose outputs are used."""

from __future__ import annotations

import math
from collections.abc import Sequence


def tapped(blocks: Sequence[int], taps: int) -> list[int]:
    """The last of a stage's blocks, and others evenly spaced before it; all if there are fewer.

    >>> tapped([5, 6, 7, 8, 9, 10], 1), tapped([5, 6, 7, 8, 9, 10], 2), tapped([3, 4], 3)
    ([10], [7, 10], [3, 4])
    """
    count = min(taps, len(blocks))
    return [blocks[math.ceil(len(blocks) * i / count) - 1] for i in range(1, count + 1)]
