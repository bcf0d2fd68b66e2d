"""The area under the ROC curve of image scores, exactly and without SciPy."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike


def image_auroc(good: ArrayLike, defective: ArrayLike) -> float:
    """The probability that a defective image scores above a good one. Ties count half.

    Args:
        good: ``(n,)`` scores of good images, at least one.
        defective: ``(m,)`` scores of defective images, at least one.

    >>> image_auroc([1.0, 2.0], [2.0, 3.0])
    0.875
    """
    rising = np.sort(np.asarray(good))
    below = np.searchsorted(rising, defective)
    not_above = np.searchsorted(rising, defective, side="right")
    return float((below + not_above).mean() / (2 * len(rising)))
