"""What `edge-ad profile` is asked to measure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from edge_ad_runtime.artifact.bounds import Above, AtLeast, Between
from edge_ad_runtime.settings import Settings, setting

_PACE = "Pace"


@dataclass(frozen=True, kw_only=True)
class ProfileSettings(Settings):
    """The questions, and how many images each is asked of.

    Attributes:
        count: the number of timed predictions of each artifact.
        warmup: the number of predictions before them, which are not counted.
        batches: whether to measure images per second in batches too.
        sweep: whether to measure threads and pinning too.
        budget_ms: the cycle-time budget, or None if there is none.
        fps: the images a second that a line would bring. A line is played only if this and the
            budget are given.
        minutes: how long the line would run, in minutes.
        allow_misses: the fraction of deadlines that may be missed.
    """

    count: Annotated[int, AtLeast(1)] = setting(
        200, help="How many images are timed; the files are used again and again."
    )
    warmup: Annotated[int, AtLeast(0)] = setting(10, help="How many are scored before, untimed.")
    batches: bool = setting(False, help="Also the images per second in batches of 1 to 16.")
    sweep: bool = setting(False, help="Also 1 to all cores, unpinned and pinned.")
    budget_ms: float | None = setting(
        None, help="Exit 1 if the p99 of the total is above this.", unset="no budget"
    )
    fps: Annotated[float, Above(0)] | None = setting(
        None,
        help="Also score at this rate. The budget is then each image's deadline, and the exit code "
        "is that of the misses.",
        unset="no pace",
        group=_PACE,
    )
    minutes: Annotated[float, Above(0)] = setting(2.0, help="How long, with --fps.", group=_PACE)
    allow_misses: Annotated[float, Between(0, 1)] = setting(
        0.0, help="Fraction of deadlines that may be missed, with --fps.", group=_PACE
    )
