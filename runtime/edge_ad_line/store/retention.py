"""Which images may stay: a pure choice, by class, age and bytes. Pinned images are never asked.

The order of classes says who goes first where all together are too many: a good part's image is
worth the least.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
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
    images: Iterable[Kept], keep: Mapping[str, Keep], *, budget_bytes: int, short_bytes: int = 0
) -> list[Kept]:
    """The images that must go, oldest first within a class.

    Args:
        images: all that are not pinned.
        keep: the limits of each class.
        budget_bytes: what all together may have.
        short_bytes: what must be freed in any case, as the disk is nearly full. Good and near ones
            alone are deleted for that.
    """
    newest_first = sorted(images, key=lambda image: -image.result)
    gone: list[Kept] = []
    left: list[Kept] = []
    used = dict.fromkeys(CLASSES, 0)
    for image in newest_first:
        limit = keep[image.kind]
        used[image.kind] += image.bytes
        over = used[image.kind] > limit.bytes or image.age_s > limit.days * _DAY_S
        (gone if over else left).append(image)
    total = sum(image.bytes for image in left)
    freed = sum(image.bytes for image in gone)
    for image in sorted(left, key=lambda image: (CLASSES.index(image.kind), image.result)):
        is_short = freed < short_bytes and image.kind in ("good", "near")
        if total <= budget_bytes and not is_short:
            continue
        gone.append(image)
        total -= image.bytes
        freed += image.bytes
    return sorted(gone, key=lambda image: (CLASSES.index(image.kind), image.result))
