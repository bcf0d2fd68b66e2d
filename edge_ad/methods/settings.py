"""The settings of every fit: which images it learns from, and how they set the threshold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from edge_ad.images.settings import ImageSettings
from edge_ad_runtime.artifact.bounds import Above, AtLeast, Below
from edge_ad_runtime.errors import ConfigError
from edge_ad_runtime.settings import setting

CalibrationName = Literal["leave-one-out", "split", "a-contrario"]

DeviceName = Literal["auto", "cpu", "cuda"]
"""Where a training runs. ``auto`` is a GPU if there is one."""

TRAINING = "Training"
"""The group of the options of methods that are trained."""

_GROUP = "Threshold"


def device_setting() -> Any:
    """The field ``device`` of a method that is trained."""
    return setting(
        "auto",
        help="Where the training runs. auto takes a GPU if there is one.",
        group=TRAINING,
    )


def checkpoint_setting() -> Any:
    """The field ``checkpoint`` of a method that is trained."""
    return setting(
        None,
        help="A file that the training leaves after each epoch, and goes on from if it is there.",
        unset="none",
        group=TRAINING,
    )


@dataclass(frozen=True, kw_only=True)
class FitSettings(ImageSettings):
    """How many images a method learns from, and how the threshold is set.

    Attributes:
        method: the name of the method in `edge_ad.methods.METHODS`.
        calibrations: the ways in which the method can set a threshold, its default first.
        shots: how many of the good images are used, drawn by the seed. With None all are used.
        calibration: how the threshold is set. ``split`` holds a share of the images out.
            ``leave-one-out`` learns from all of them, and takes for each image the score that it
            would have if it had not been learned from. Methods that are trained cannot do so, as
            they would have to be trained as often as there are images. ``a-contrario`` asks the
            method itself, see `AContrarioSettings`. None is the method's default. See
            `edge_ad.fitting.calibrate`.
        holdout_fraction: the share of the good images that the method does not learn from, in
            [0, 1). With ``split`` they set the threshold: with 0 there is none, so the export must
            be given one. With ``a-contrario`` they say what its threshold makes of good parts.
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
        help="How the threshold is set: by images that are held out (split), by all images, each "
        "as if it had not been learned from (leave-one-out), or by the method's own test "
        "(a-contrario).",
        unset="leave-one-out or a-contrario where the method can, else split",
        group=_GROUP,
    )
    holdout_fraction: Annotated[float, AtLeast(0), Below(1)] = setting(
        0.2,
        help="Share of the images that is not learned from; none with leave-one-out. With the "
        "calibration split they set the threshold, and with 0 there is none, so that it must be "
        "given to export.",
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
            trained = self.calibration == "leave-one-out"
            raise ConfigError(
                f"calibration is {self.calibration!r}; of {self.method} it must be "
                f"{' or '.join(self.calibrations)}"
                + (", as it would have to be trained without each image" if trained else "")
            )

    @property
    def resolved_calibration(self) -> CalibrationName:
        """How the threshold is set, where `calibration` is None."""
        return self.calibration or self.calibrations[0]

    @property
    def resolved_holdout_fraction(self) -> float:
        """The share of the good images that the method does not learn from."""
        return 0.0 if self.resolved_calibration == "leave-one-out" else self.holdout_fraction


@dataclass(frozen=True, kw_only=True)
class AContrarioSettings(FitSettings):
    """The settings of methods whose score is -log10 of a number of false alarms.

    Such a score has a threshold by itself: the number of false alarms that may be expected in an
    image of noise. Whether good parts are what the method takes for noise is another matter, so
    the images that are held out check it.

    Attributes:
        false_alarms: how many false alarms may be expected in each image, above 0. The threshold
            is -log10 of it.
    """

    calibrations: ClassVar[tuple[CalibrationName, ...]] = ("a-contrario", "split")

    false_alarms: Annotated[float, Above(0)] = setting(
        1.0,
        help="With the calibration a-contrario, the false alarms that may be expected in an image.",
        group=_GROUP,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.resolved_calibration != "a-contrario":
            return
        if self.false_reject_rate is not None:
            raise ConfigError(
                f"false_reject_rate is {self.false_reject_rate:g} and calibration a-contrario, "
                "whose threshold is that of false_alarms; give --calibration split, or another "
                "--false-alarms"
            )
