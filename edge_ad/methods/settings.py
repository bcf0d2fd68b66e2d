"""The settings of every fit: which images it learns from, and which set the threshold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from edge_ad.images.settings import ImageSettings
from edge_ad_runtime.artifact.bounds import Above, AtLeast, Below
from edge_ad_runtime.settings import setting

_GROUP = "Threshold"


@dataclass(frozen=True, kw_only=True)
class FitSettings(ImageSettings):
    """How many images are learned from, and what the others say of the threshold.

    Attributes:
        shots: use only so many of the good images, a seeded draw; None: all.
        holdout_fraction: share of the good images kept out of the bank to set the threshold;
            0: none, and so no threshold: the export must be given one.
        false_reject_rate: share of good parts that may be rejected; None: the smallest that the
            held-out images support.
    """

    shots: Annotated[int, AtLeast(1)] | None = setting(
        None,
        help="Use so many of the images, drawn by seed.",
        unset="all",
        group="Images",
    )
    holdout_fraction: Annotated[float, AtLeast(0), Below(1)] = setting(
        0.2,
        help="Share of the images that sets the threshold. With 0 there is none, and it must be "
        "given to export.",
        group=_GROUP,
    )
    false_reject_rate: Annotated[float, Above(0), Below(1)] | None = setting(
        None,
        help="Share of good parts that may be rejected.",
        unset="the smallest that the images support",
        group=_GROUP,
    )
