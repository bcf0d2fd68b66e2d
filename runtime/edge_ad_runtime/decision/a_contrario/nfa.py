"""The scales of an image together: a map of -log10 NFA, which is above 0 where a defect begins."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_ad_runtime.decision.a_contrario.counting import Counting, log10_tests
from edge_ad_runtime.decision.a_contrario.tree import log10_nfa_of_regions


def significance_by_tree(
    levels: Sequence[NDArray[np.floating]],
    degrees: Sequence[float],
    size: tuple[int, int],
    counting: Counting,
    *,
    guarded: bool = True,
) -> NDArray[np.float32]:
    """-log10 NFA at each pixel, by the tree test: that of the most unusual region of any scale.

    Args:
        levels: of each scale ``(rows, cols)``, the mean of z^2 over the channels.
        degrees: of each scale how many independent values that was the mean of.
        size: ``(height, width)`` of the image.
        counting: how the false alarms are shared, see
            `edge_ad_runtime.decision.a_contrario.counting`.
        guarded: see `log10_nfa_of_regions`.

    Returns:
        ``size`` float32. Between positions values are interpolated, which can only lower those of a
        region. So in noise the map is above a value no more often than a region is.
    """
    tests = log10_tests([(each.shape[0], each.shape[1]) for each in levels], counting)
    height, width = size
    least = np.full(size, np.inf)
    for each, c, log10_n in zip(levels, degrees, tests, strict=True):
        log10_nfa = log10_nfa_of_regions(each, c, log10_n, guarded=guarded)
        large = cv2.resize(log10_nfa, (width, height), interpolation=cv2.INTER_LINEAR)
        least = np.minimum(least, large)
    return np.asarray(-least, np.float32)
