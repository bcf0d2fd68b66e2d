"""How long to wait before the next try. There is always a next one."""

from __future__ import annotations


def backoff_s(failures: int, *, first_s: float = 0.5, most_s: float = 4.0) -> float:
    """The seconds to wait after so many failures in a row.

    >>> [backoff_s(n) for n in range(6)]
    [0.0, 0.5, 1.0, 2.0, 4.0, 4.0]
    """
    if failures <= 0:
        return 0.0
    return min(most_s, first_s * 2.0 ** min(failures - 1, 30))
