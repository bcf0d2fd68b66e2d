"""Quantiles of the beta distribution, without SciPy, which a device does not have.

Of n good images with the k-th smallest score as threshold, the realised false-reject rate is
distributed as Beta(n + 1 - k, k).
"""

from __future__ import annotations

import math

_TINY = 1e-300
_PRECISION = 1e-15
_HALVINGS = 60


def beta_quantile(share: float, a: float, b: float) -> float:
    """The x in [0, 1] below which this share of the distribution Beta(a, b) lies.

    Args:
        share: from 0 to 1.
        a: above 0.
        b: above 0.

    >>> round(beta_quantile(0.5, 3, 3), 12)
    0.5
    """
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if _below(middle, a, b) < share:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _below(x: float, a: float, b: float) -> float:
    """The share of Beta(a, b) below x: the regularised incomplete beta function."""
    if x > (a + 1) / (a + b + 2):  # the fraction converges fast on the other side alone
        return 1 - _below(1 - x, b, a)
    log_front = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    log_front += a * math.log(x) + b * math.log1p(-x)
    return math.exp(log_front) * _fraction(x, a, b) / a


def _fraction(x: float, a: float, b: float) -> float:
    """The continued fraction of the incomplete beta function, by Lentz's method.

    See Press et al., Numerical Recipes, 3rd edition, section 6.4.
    """
    c, d = 1.0, 1 / _not_zero(1 - (a + b) * x / (a + 1))
    value, m, change = d, 0, 0.0
    while abs(change - 1) > _PRECISION:
        m += 1
        for term in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            c, d = _not_zero(1 + term / c), 1 / _not_zero(1 + term * d)
            change = c * d
            value *= change
    return value


def _not_zero(value: float) -> float:
    return value if abs(value) > _TINY else _TINY
