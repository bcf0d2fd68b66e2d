"""The block test, U-Flow's older one: how many latents of a square window are unusually large?

A latent is *exceeding* if z^2 >= tau, where tau is a quantile of the chi-squared distribution of
one degree. Of the n positions of a window the share of channels that exceed, summed up, is k. If
all were noise, k would be binomial, and

    log10 p = log10 P(Binomial(n, 1 - quantile) > k).

k is a sum of shares and no whole number, and the binomial's tail is that of the next lower one. The
tests of all scales are multiplied, as if they were independent. So this is no bound as the tree's
is, and the test is kept to compare with.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


def chi2_quantile(quantile: float) -> float:
    """tau, the quantile of the chi-squared distribution of one degree.

    >>> round(chi2_quantile(0.9), 6)
    2.705543
    """
    return NormalDist().inv_cdf((1 + quantile) / 2) ** 2


def half_window(window: int, scale: int) -> int:
    """How far the window reaches from its centre, on the scale-th coarser grid.

    >>> [half_window(5, scale) for scale in range(3)]
    [2, 1, 1]
    """
    return max(window >> (scale + 1), 1)


def log10_tails(n: int, quantile: float) -> FloatArray:
    """log10 P(Binomial(n, 1 - quantile) > k) of k = 0 ... n, ``(n + 1,)``.

    That of k = n would be minus infinity. It gets the value of n - 1.

    >>> log10_tails(9, 0.9)[[0, 1, 3, 5]].round(4).tolist()
    [-0.2128, -0.6475, -2.0793, -4.1922]
    """
    p = 1 - quantile
    terms = [math.comb(n, k) * p**k * quantile ** (n - k) for k in range(n + 1)]
    tails = [math.fsum(terms[k + 1 :]) for k in range(n)]
    return np.asarray(np.log10([*tails, tails[-1]]), np.float64)


def log10_p_of_windows(exceeding: NDArray[np.floating], half: int, quantile: float) -> FloatArray:
    """log10 p of the window around each position.

    Args:
        exceeding: ``(rows, cols)``, the share of the channels that exceed. Both are above ``half``.
        half: how far a window reaches from its centre. Beyond the border it sees the grid mirrored.
        quantile: what `chi2_quantile` was given.

    Returns:
        ``(rows, cols)``.
    """
    side = 2 * half + 1
    padded = np.pad(exceeding.astype(np.float64), half, mode="reflect")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (side, side))
    # sums of shares such as 1/3: 1e-6 keeps a whole number from being rounded down
    k = np.floor(windows.sum(axis=(2, 3)) + 1e-6).astype(np.intp)
    return np.asarray(log10_tails(side * side, quantile)[k], np.float64)


def enlarged(values: FloatArray, size: tuple[int, int]) -> FloatArray:
    """Bicubic enlargement whose corners are the grid's corners, as the published block test has."""
    rows, cols = (_cubic(grid, length) for grid, length in zip(values.shape, size, strict=True))
    return np.asarray(rows @ values @ cols.T, np.float64)


def _cubic(grid: int, length: int) -> FloatArray:
    """Keys' cubic convolution with a = -0.75 as a matrix ``(length, grid)``."""
    a = -0.75
    at = np.arange(length) * ((grid - 1) / max(length - 1, 1))
    first = np.floor(at).astype(np.intp)
    matrix = np.zeros((length, grid))
    for tap in range(-1, 3):
        x = np.abs(at - (first + tap))
        near = ((a + 2) * x - (a + 3)) * x * x + 1
        far = ((x - 5) * x + 8) * x * a - 4 * a
        column = np.clip(first + tap, 0, grid - 1)
        np.add.at(matrix, (np.arange(length), column), np.where(x <= 1, near, far))
    return matrix


def log10_nfa_of_windows(
    exceeding: Sequence[NDArray[np.floating]], size: tuple[int, int], window: int, quantile: float
) -> FloatArray:
    """The log10 NFA of the windows of all scales, ``size``.

    Args:
        exceeding: of each scale, finest first, see `log10_p_of_windows`.
        size: ``(height, width)`` of the image.
        window: the side of the window on the finest grid. On the next it is half of that.
        quantile: see `chi2_quantile`.
    """
    total = np.full(size, np.log10(sum(each.size for each in exceeding)))
    for scale, each in enumerate(exceeding):
        log10_p = log10_p_of_windows(each, half_window(window, scale), quantile)
        total += enlarged(log10_p, size)
    return total
