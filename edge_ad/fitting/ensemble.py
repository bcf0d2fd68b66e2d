"""Several fits of the same good images as one detector (PatchCore, table 4).

The scores of different networks are distances in different spaces. Each score is divided by what a
good image typically scores, which is the median over some of the left-out images. The mean of the
quotients is taken, so 1 is an ordinary good part. Test images have no say in it. The images that
set the scales do not set the threshold, so its guarantee holds as for a single network.

The members may be of several methods. Only images count that every member has left out: those held
out where one member holds some out, and all images where each is left out of what it is scored by.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_ad.fitting.calibrate import given_threshold, learned_threshold
from edge_ad.fitting.fitted import FittedDetector, scores_of_parts
from edge_ad.methods.settings import AContrarioSettings
from edge_ad_runtime.artifact.calibration_records import Calibration, LearnedFrom
from edge_ad_runtime.decision.calibration import scores_from
from edge_ad_runtime.errors import ConfigError, FitError
from edge_ad_runtime.heads.ensemble import combine

_SCALE_EVERY = 3  # the first left-out image and every third after it set the scales


@dataclass(frozen=True, kw_only=True, eq=False)
class Ensemble:
    """Fits whose scores are combined, or a single fit at scale 1.

    Attributes:
        members: the fits, of the same images and with the same ones held out.
        scales: what each member's scores and maps are divided by.
        left_out_scores: ``(n,)``, the combined scores of the images that set the threshold.
    """

    members: tuple[FittedDetector, ...]
    scales: tuple[float, ...]
    left_out_scores: NDArray[np.float64]

    def calibration(self, threshold: float | None) -> Calibration:
        """What the threshold is worth: a given one, or with None that of the members.

        Raises:
            ConfigError: no image was left out, or too few were for the false-reject rate. Or the
                given threshold is 0 or less, and scores are distances.
        """
        known = [m.record.calibration for m in self.members if m.record.calibration is not None]
        ways = {scores_from(calibration) for calibration in known}
        method: LearnedFrom = "leave-one-out" if "leave-one-out" in ways else "split-conformal"
        if threshold is not None:
            in_decades = isinstance(self.members[0].config, AContrarioSettings)
            if threshold <= 0 and not in_decades:
                raise ConfigError(
                    f"threshold is {threshold:g}; scores of {self.members[0].record.method} are "
                    "distances, so it must be above 0, or every image would be anomalous"
                )
            return given_threshold(self.left_out_scores, threshold, method)
        if len(self.members) == 1:
            return self.members[0].calibration
        rate = self.members[0].config.false_reject_rate
        return learned_threshold(self.left_out_scores, rate, method)


def join(members: Sequence[FittedDetector]) -> Ensemble:
    """Put fits on one scale.

    Raises:
        ConfigError: the fits are of different images, or their settings do not go together.
        FitError: there are too few left-out images, or a fit gives them scores of 0.
    """
    first = members[0]
    if len(members) == 1:
        return Ensemble(members=(first,), scales=(1.0,), left_out_scores=first.left_out_scores)
    for member in members:
        if isinstance(member.config, AContrarioSettings):
            raise ConfigError(
                f"a fit is of {member.record.method}, whose scores are logarithms and have no "
                "scale; such fits cannot be in an ensemble, export it alone"
            )
        _check_same(first, member)
    scores = _common_scores(members)
    for_scale = np.arange(scores.shape[1]) % _SCALE_EVERY == 0
    if scores.shape[1] < 2:
        raise FitError(
            f"{scores.shape[1]} images were left out by every member; an ensemble needs 2 or more, "
            "to set the scales and the threshold; fit its members with a larger --holdout-fraction"
        )
    scales = np.median(scores[:, for_scale], axis=1)
    if not (scales > 0).all():
        raise FitError("left-out images with a score of 0 give no scale; are they copies?")
    combined = [combine(list(image), list(scales)) for image in scores[:, ~for_scale].T]
    return Ensemble(
        members=tuple(members),
        scales=tuple(scales.tolist()),
        left_out_scores=np.array(combined),
    )


def _check_same(one: FittedDetector, other: FittedDetector) -> None:
    """Raise unless the images, the hold-outs and what acts on the whole image are the same."""
    differences = {
        "good images": _images(one) != _images(other),
        "images held out": bool(_held_out(one) and _held_out(other))
        and _held_out(one) != _held_out(other),
        "size, resize or keep_aspect": one.config.preprocessing != other.config.preprocessing,
        "false_reject_rate": one.config.false_reject_rate != other.config.false_reject_rate,
    }
    if found := [name for name, differs in differences.items() if differs]:
        raise ConfigError(
            f"the fits cannot be one ensemble, they have different {'; '.join(found)}; fit all "
            "members on the same folder with the same seed, hold-out and input size"
        )


def _common_scores(members: Sequence[FittedDetector]) -> NDArray[np.float64]:
    """The scores ``(members, n)`` of the parts that every member has left out."""
    every = [scores_of_parts(member.record.images) for member in members]
    common = [part for part in every[0] if all(part in scores for scores in every)]
    return np.array([[scores[part] for part in common] for scores in every])


def _images(fitted: FittedDetector) -> list[str]:
    return [image.sha256 for image in fitted.record.images]


def _held_out(fitted: FittedDetector) -> list[str]:
    return [image.sha256 for image in fitted.record.images if image.held_out]
