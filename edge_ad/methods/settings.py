"""The settings of every fit: which images it learns from, and which set the threshold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from edge_ad.images.settings import ImageSettings
from edge_ad_runtime.artifact.bounds import Above, AtLeast, Below
from edge_ad_runtime.settings import setting

_GROUP = "Threshold"


@dataclass(frozen=True, kw_only=True)
class FitSettings(ImageSettings):
    """How many images a method learns from, and how the others set the threshold.

    Attributes:
        method: the name of the method in `edge_ad.methods.METHODS`.
        shots: how many of the good images are used, drawn by the seed. With None all are used.
        holdout_fraction: the share of the good images that the method does not learn from, in
            [0, 1). They set the threshold. With 0 there is no threshold, so the export must be
            given one.
        false_reject_rate: the share of good parts that may be rejected, in (0, 1). With None it is
            the smallest that the held-out images support.
    """

    method: ClassVar[str]

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
