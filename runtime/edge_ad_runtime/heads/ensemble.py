"""One answer of several heads: the mean of their scores and maps, on one scale."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from edge_ad_runtime.heads import Evidence

T = TypeVar("T", float, NDArray[np.float32])


def combine(values: Sequence[T], scales: Sequence[float]) -> T:
    """The answer of an ensemble: the mean of its members' scores or maps, on one scale.

    >>> combine([3.0, 10.0], scales=[2.0, 10.0])
    1.25
    """
    first, *rest = (value / scale for value, scale in zip(values, scales, strict=True))
    total = sum(rest, start=first)
    return total / len(values)  # type: ignore[return-value]  # float32 / float is float32


def combine_evidence(
    members: Sequence[Evidence], scales: Sequence[float]
) -> dict[str, bool | int | float]:
    """Combine what the members know.

    A truth holds if it holds for all members, whole numbers are added, and other numbers are
    combined as the scores are. What only some of the members know is left out.

    >>> combine_evidence([{"exact": True, "scanned": 3}, {"exact": False, "scanned": 4}], [1, 1])
    {'exact': False, 'scanned': 7}
    """
    first, *others = members
    combined: dict[str, bool | int | float] = {}
    for name in first:
        if not all(name in other for other in others):
            continue
        values = [member[name] for member in members]
        if isinstance(first[name], bool):
            combined[name] = all(values)
        elif isinstance(first[name], int):
            combined[name] = sum(values)
        else:
            combined[name] = combine([float(value) for value in values], scales)
    return combined
