"""Which images may stay: a pure choice, by class, age and bytes. Pinned images are never asked.

The order of classes says who goes first where all together are too many: a good part's image is
worth the least.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from edge_ad_line.config import Keep

ImageClass = Literal["good", "near", "error", "anomalous"]
CLASSES: tuple[ImageClass, ...] = ("good", "near", "error", "anomalous")

_DAY_S = 86_400.0
_NEAR = 0.1  # of the threshold


@dataclass(frozen=True, kw_only=True)
class Kept:
    """An image that is on the disk and not pinned.

    Attributes:
        result: the number of its result, which rises with time.
        kind: its class.
        bytes: its size.
        age_s: how long ago it was kept, in seconds of operation.
    """

    result: int
    kind: ImageClass
    bytes: int
    age_s: float


def class_of(verdict: str, score: float | None, threshold: float | None) -> ImageClass:
    """The class of an image: its verdict, or ``near`` if it is good and near the threshold.

    >>> class_of("good", 0.95, 1.0), class_of("good", 0.5, 1.0), class_of("error", None, 1.0)
    ('near', 'good', 'error')
    """
    if verdict != "good" or score is None or threshold is None:
        return "anomalous" if verdict == "anomalous" else "error"
    return "near" if nearness(score, threshold) <= _NEAR else "good"


def nearness(score: float, threshold: float) -> float:
    """How far a score is from the threshold, in thresholds. Scores near 0 count as decades do."""
    return abs(score - threshold) / max(abs(threshold), 1e-12)


def to_delete(
    oldest: Sequence[Kept],
    used: Mapping[str, int],
    keep: Mapping[str, Keep],
    *,
    budget_bytes: int,
    short_bytes: int = 0,
) -> list[Kept]:
    """The images that must go, oldest first within a class.

    Args:
        oldest: the oldest of each class, in order. There may be more on the disk than are asked
            about at once, and the others are asked about next time.
        used: the bytes of all images of each class, these included.
        keep: the limits of each class.
        budget_bytes: what all together may have.
        short_bytes: what must be freed in any case, as the disk is nearly full. Good and near ones
            alone are deleted for that.
    """
    used, freed = dict(used), 0
    gone: list[Kept] = []
    by_worth = sorted(oldest, key=lambda image: (CLASSES.index(image.kind), image.result))
    for image in by_worth:
        limit = keep[image.kind]
        if used[image.kind] > limit.bytes or image.age_s > limit.days * _DAY_S:
            gone.append(image)
            used[image.kind] -= image.bytes
            freed += image.bytes
    taken = {image.result for image in gone}
    for image in by_worth:
        is_short = freed < short_bytes and image.kind in ("good", "near")
        if image.result not in taken and (sum(used.values()) > budget_bytes or is_short):
            gone.append(image)
            used[image.kind] -= image.bytes
            freed += image.bytes
    return sorted(gone, key=lambda image: (CLASSES.index(image.kind), image.result))
