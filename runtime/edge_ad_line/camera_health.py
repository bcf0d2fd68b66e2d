"""Whether a picture is one that can be judged: not dark, overexposed, blurred or displaced.

It is held against the good images that the artifact carries, as the camera gave them. A picture
that fails is an ``error`` and never ``good``: a dead lamp must not pass parts. The limits are wide,
because a defect must never be taken for a bad picture. All is computed from a few thousand pixels:
looking at 5 megapixels takes less than 3 ms.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_ad_line.result import Reason
from edge_ad_runtime.images import RGBImage

_GRID_PX = 64  # of the small picture that is compared for its place, and the rows that are read
_MARGIN_PX = 14  # how far the small picture is searched for in each direction
_WHITE = 250
_SHARPEST = 0.01  # the share of differences that count: those at edges
_DARKER, _BLURRED = 0.4, 0.45  # of the least of the good images
_WHITER = 0.2  # more than the most of the good images
_MOVED = 0.08  # of the picture's side, beyond how far the good images differ
_ALIKE = 0.6  # the correlation from which on good images are taken to lie alike
_SAME = 0.7  # and from which on a picture is the same scene elsewhere, and not another part


@dataclass(frozen=True, kw_only=True, eq=False)
class Look:
    """What is noted of one picture.

    Attributes:
        brightness: the mean of all channels, 0 to 255.
        white: the share of pixels that are white in all channels, 0 to 1.
        sharpness: the mean of the largest 1% of differences between neighbours, in grey levels,
            relative to the contrast of the whole.
        small: ``(64, 64)`` float32, the picture in small, of mean 0.
    """

    brightness: float
    white: float
    sharpness: float
    small: NDArray[np.float32]


@dataclass(frozen=True, kw_only=True, eq=False)
class Limits:
    """What a picture must look like, from those of good parts.

    Attributes:
        least_brightness: a darker picture is ``dark``.
        most_white: a picture with a larger share of white is ``overexposed``.
        least_sharpness: a less sharp one is ``blurred``.
        most_moved: a picture that is moved by a larger share of its side is ``displaced``. None if
            the good images themselves do not lie alike, so that no place is the right one.
        smalls: the good images in small.
    """

    least_brightness: float
    most_white: float
    least_sharpness: float
    most_moved: float | None
    smalls: tuple[NDArray[np.float32], ...]


def look_at(image: RGBImage) -> Look:
    """Note what is asked of a picture, ``(H, W, 3)`` uint8.

    Of some rows and those below them the green channel is read: most of what the eye sees, and half
    of what a colour sensor has.
    """
    for axis in (0, 1):
        if image.shape[axis] < 2:  # a line of pixels has no neighbours
            image = np.repeat(image, 2, axis=axis)
    step = max(1, (image.shape[0] - 1) // _GRID_PX)
    rows = _green(image[: image.shape[0] - 1 : step])
    below = _green(image[1::step])[: len(rows)]
    size = (_GRID_PX, _GRID_PX)
    small = np.asarray(cv2.resize(rows, size, interpolation=cv2.INTER_AREA), np.float32)
    mean, deviation = (float(value.item()) for value in cv2.meanStdDev(rows))
    return Look(
        brightness=mean,
        white=float(np.count_nonzero(rows >= _WHITE)) / rows.size,
        sharpness=_sharpness(rows, below) / max(deviation, 1.0),
        small=small - small.mean(),
    )


def limits_of(looks: Sequence[Look]) -> Limits:
    """The limits that good images set. Without any, every picture is within them."""
    if not looks:
        return Limits(
            least_brightness=0, most_white=1, least_sharpness=0, most_moved=None, smalls=()
        )
    smalls = tuple(look.small for look in looks)
    return Limits(
        least_brightness=_DARKER * min(look.brightness for look in looks),
        most_white=min(1.0, max(look.white for look in looks) + _WHITER),
        least_sharpness=_BLURRED * min(look.sharpness for look in looks),
        most_moved=_most_moved(smalls),
        smalls=smalls,
    )


def fault_of(look: Look, limits: Limits) -> tuple[Reason, str] | None:
    """Why a picture cannot be judged, as a word and in words. None if it can."""
    if look.brightness < limits.least_brightness:
        return "dark", (
            f"the mean brightness is {look.brightness:.0f}, of good images it is at least "
            f"{limits.least_brightness / _DARKER:.0f}; check lamp and exposure"
        )
    if look.white > limits.most_white:
        return "overexposed", (
            f"{look.white:.0%} of the picture is white, of good images it is at most "
            f"{max(0.0, limits.most_white - _WHITER):.0%}; check lamp and exposure"
        )
    if look.sharpness < limits.least_sharpness:
        return "blurred", (
            f"its edges are {look.sharpness / (limits.least_sharpness / _BLURRED):.0%} as sharp as "
            "those of good images; check focus, and dirt on the lens"
        )
    if limits.most_moved is not None and (moved := _moved(look.small, limits)) is not None:
        return "displaced", (
            f"the picture is moved by {moved:.0%} of its side against good images; check the "
            "camera's mount and the trigger"
        )
    return None


def _green(rows: RGBImage) -> NDArray[np.uint8]:
    return np.asarray(cv2.extractChannel(np.ascontiguousarray(rows), 1), np.uint8)


def _sharpness(rows: NDArray[np.uint8], below: NDArray[np.uint8]) -> float:
    """The mean of the largest differences between neighbours, across and down."""
    differences = np.concatenate(
        [
            cv2.absdiff(rows[:, 1:], rows[:, :-1]).ravel(),
            cv2.absdiff(rows[: len(below)], below).ravel(),
        ]
    )
    counts = np.bincount(differences, minlength=256)[::-1]
    most = max(1, int(_SHARPEST * len(differences)))
    taken = np.diff(np.minimum(np.cumsum(counts), most), prepend=0)
    return float((taken * np.arange(255, -1, -1)).sum() / most)


def _most_moved(smalls: Sequence[NDArray[np.float32]]) -> float | None:
    """How far a picture may be moved. None if there are too few good images that lie alike."""
    pairs = [(one, other) for i, one in enumerate(smalls) for other in smalls[i + 1 :]]
    shifts = [_shift(one, other) for one, other in pairs]
    if not shifts or min(alike for _, alike in shifts) < _ALIKE:
        return None
    return max(distance for distance, _ in shifts) + _MOVED


def _moved(small: NDArray[np.float32], limits: Limits) -> float | None:
    """How far a picture is moved against all good ones. None if it is not, or nobody can tell."""
    assert limits.most_moved is not None
    shifts = [_shift(small, good) for good in limits.smalls]
    distance, _ = min(shifts)
    if distance <= limits.most_moved or max(alike for _, alike in shifts) < _SAME:
        return None
    return distance


def _shift(one: NDArray[np.float32], other: NDArray[np.float32]) -> tuple[float, float]:
    """How far one small picture is moved against another, in sides, and their correlation there."""
    middle = slice(_MARGIN_PX, _GRID_PX - _MARGIN_PX)
    alike = cv2.matchTemplate(one, other[middle, middle], cv2.TM_CCOEFF_NORMED)
    _, best, _, (x, y) = cv2.minMaxLoc(alike)
    return float(np.hypot(x - _MARGIN_PX, y - _MARGIN_PX)) / _GRID_PX, float(best)
