"""The settings of every fit: which images it learns from, and how they set the threshold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from edge_ad.images.settings import ImageSettings
from edge_ad_runtime.artifact.bounds import Above, AtLeast, Below
from edge_ad_runtime.errors import ConfigError
from edge_ad_runtime.settings import setting

CalibrationName = Literal["leave-one-out", "split"]

_GROUP = "Threshold"


@dataclass(frozen=True, kw_only=True)
class FitSettings(ImageSettings):
    """How many images a method learns from, and how the threshold is set.

    Attributes:
        method: the name of the method in `edge_ad.methods.METHODS`.
        calibrations: the ways in which the method can set a threshold, its default first.
        shots: how many of the good images are used, drawn by the seed. With None all are used.
        calibration: how the threshold is set. ``split`` holds a share of the images out.
            ``leave-one-out`` learns from all of them, and takes for each image the score that it
            would have if it had not been learned from. None is the method's default. See
            `edge_ad.fitting.calibrate`.
        holdout_fraction: with ``split``, the share of the good images that the method does not
            learn from, in [0, 1). With 0 there is no threshold, so the export must be given one.
        false_reject_rate: the share of good parts that may be rejected, in (0, 1). With None it is
            the smallest that the images support.
    """

    method: ClassVar[str]
    calibrations: ClassVar[tuple[CalibrationName, ...]] = ("split",)

    shots: Annotated[int, AtLeast(1)] | None = setting(
        None,
        help="Use so many of the images, drawn by seed.",
        unset="all",
        group="Images",
    )
    calibration: CalibrationName | None = setting(
        None,
        help="How the threshold is set: by images that are held out, or by all images, each as if "
        "it had not been learned from.",
        unset="leave-one-out where the method can",
        group=_GROUP,
    )
    holdout_fraction: Annotated[float, AtLeast(0), Below(1)] = setting(
        0.2,
        help="With the calibration split, share of the images that sets the threshold. With 0 "
        "there is none, and it must be given to export.",
        group=_GROUP,
    )
    false_reject_rate: Annotated[float, Above(0), Below(1)] | None = setting(
        None,
        help="Share of good parts that may be rejected.",
        unset="the smallest that the images support",
        group=_GROUP,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.resolved_calibration not in self.calibrations:
            raise ConfigError(
                f"calibration is {self.calibration!r}; of {self.method} it must be "
                f"{' or '.join(self.calibrations)}"
            )

    @property
    def resolved_calibration(self) -> CalibrationName:
        """How the threshold is set, where `calibration` is None."""
        return self.calibration or self.calibrations[0]

    @property
    def resolved_holdout_fraction(self) -> float:
        """The share of the good images that the method does not learn from."""
        return self.holdout_fraction if self.resolved_calibration == "split" else 0.0
