"""What the manifest says of the threshold: where it comes from, and what it is worth."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Literal

from edge_ad_runtime.artifact import strict
from edge_ad_runtime.artifact.calibration_scores import MOST_SCORES, CalibrationScores
from edge_ad_runtime.artifact.strict import AtMost, Between
from edge_ad_runtime.artifact.words import Fraction, Positive, Score, Sha256

CalibrationMethod = Literal["split-conformal", "leave-one-out", "a-contrario", "given"]
LearnedFrom = Literal["split-conformal", "leave-one-out"]


@dataclass(frozen=True, kw_only=True)
class ExportedThreshold:
    """What the export had set, in an artifact whose threshold was moved afterwards.

    Attributes:
        sha256: the SHA-256 in the manifest of the artifact that the export has written.
        method: how its threshold was chosen, see `Calibration`.
        threshold: its threshold, in the same unit.
        false_reject_rate: its rate.
    """

    sha256: Sha256
    method: CalibrationMethod
    threshold: Score
    false_reject_rate: Fraction


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """Where the threshold comes from. The mathematics are in ``edge_ad.fitting.calibrate``.

    Attributes:
        method: ``split-conformal`` if good images were held out of the fit, ``leave-one-out`` if
            each was scored as if it had not been learned from, ``a-contrario`` if the score itself
            says how many false alarms to expect, and ``given`` if somebody chose the threshold.
        threshold: an image is anomalous if its score is larger than this. It is in the unit of the
            score, which for an ensemble is the score that good images typically have.
        false_reject_rate: the expected share of good parts that are rejected is at most this. With
            ``leave-one-out`` this is measured, and no theorem. With ``a-contrario`` and
            ``given`` it is what held-out images make of a threshold that they have not set.
        requested_rate: the rate that the user asked for. It is None if that was the smallest rate
            that the images support, or if the threshold was given.
        interval: the 90% interval of the realised rate, over the draw of those images.
        images: the number of good images that set the threshold. If it is 0, nothing is known of
            the rate.
        scores: the scores of those images, rising. If there are more than `MOST_SCORES`,
            that many of them are kept, evenly spaced in rank. They tell a line how good parts used
            to score, and let ``edge-ad threshold`` move the threshold. It is empty in artifacts of
            schema 3, which did not keep them.
        false_alarms: with ``a-contrario``, how many false alarms are expected in each image of
            noise. The threshold is -log10 of it.
        scores_from: with ``given``, by which of the two ways the scores were taken. It is None if
            there are none, or if the export did not say.
        exported: what the export had set, if the threshold was moved afterwards.
    """

    method: CalibrationMethod
    threshold: Score
    false_reject_rate: Fraction
    requested_rate: Fraction | None
    interval: tuple[Fraction, Fraction]
    images: Annotated[int, Between(0, 10**9)]
    scores: Annotated[tuple[Score, ...], AtMost(MOST_SCORES)] = ()
    false_alarms: Positive | None = strict.optional()
    scores_from: LearnedFrom | None = strict.optional()
    exported: ExportedThreshold | None = strict.optional()

    def __post_init__(self) -> None:
        self._check_rates()
        self._check_method()
        if self.scores:
            known = CalibrationScores(images=self.images, kept=self.scores)
            known.check()
            learned = self.method in ("split-conformal", "leave-one-out")
            known.check_threshold(self.threshold, self.false_reject_rate, learned=learned)

    def _check_rates(self) -> None:
        if self.interval[0] > self.interval[1]:
            raise ValueError(f"interval: expected its lower end first, found {self.interval}")
        if self.requested_rate is not None and self.requested_rate < self.false_reject_rate - 1e-9:
            raise ValueError(
                "false_reject_rate: expected the requested_rate of "
                f"{self.requested_rate:g} at most, found {self.false_reject_rate:g}"
            )

    def _check_method(self) -> None:
        if (self.false_alarms is None) == (self.method == "a-contrario"):
            raise ValueError("false_alarms: expected with the method a-contrario, and no other")
        if self.scores_from is not None and self.method != "given":
            raise ValueError(f"scores_from: expected with the method given, found {self.method}")
        if self.false_alarms is not None:
            expected = -math.log10(self.false_alarms)
            if not math.isclose(self.threshold, expected, abs_tol=1e-9):
                raise ValueError(
                    f"threshold: expected {expected:g}, which is -log10 of false_alarms, found "
                    f"{self.threshold:g}"
                )
