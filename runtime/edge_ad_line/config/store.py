"""``[store]``: what the disk may hold, and for how long."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from edge_ad_line.config.words import Bytes, Count
from edge_ad_runtime.artifact.bounds import Between
from edge_ad_runtime.artifact.strict import optional


@dataclass(frozen=True, kw_only=True)
class Keep:
    """How long images of one class are kept. The first limit that is reached counts.

    Attributes:
        days: days in operation: the time that the device is off does not count, nor does its clock.
        bytes: all images of the class together.
        every: one of so many images is kept.
    """

    days: Annotated[float, Between(0, 36_500)] = optional(90.0)
    bytes: Bytes = optional(2_000_000_000)
    every: Count = optional(1)


@dataclass(frozen=True, kw_only=True)
class KeepConfig:
    """``[store.keep.CLASS]`` for each class of images. `near` are good ones near the threshold."""

    anomalous: Keep = optional(Keep(days=365.0, bytes=5_000_000_000))
    error: Keep = optional(Keep(days=30.0))
    near: Keep = optional(Keep(days=90.0))
    good: Keep = optional(Keep(days=7.0, every=20))


@dataclass(frozen=True, kw_only=True)
class StoreConfig:
    """``[store]``: what the disk may hold.

    Attributes:
        budget_bytes: all images together. Good ones go first.
        reserve_bytes: a file that is deleted when the disk is full, so that results go on.
        most_results: older results than so many are removed.
        keep: the limits of each class.
    """

    budget_bytes: Bytes = optional(10_000_000_000)
    reserve_bytes: Bytes = optional(64 << 20)
    most_results: Annotated[int, Between(100, 10**9)] = optional(10_000_000)
    keep: KeepConfig = optional(KeepConfig())
