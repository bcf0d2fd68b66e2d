"""What an evaluation says in words: is the promise kept, what is missed, which command mends it?

The promise is the calibration's: at most a share of the good parts is rejected, on average over
what was held out. Of one artifact the share follows a beta distribution, so that the rejects among
n good images follow a beta-binomial one. Where so many as were found have a probability below 5%,
the images are not like those of the fit, or bad luck is at its end.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import betabinom

from edge_ad.evaluation import metrics
from edge_ad_runtime.artifact.calibration_records import Calibration

_UNLIKELY = 0.05
_POOR_AUROC = 0.9
_MUCH_F1 = 0.05  # how much better the best F1 must be for its threshold to be named


@dataclass(frozen=True, kw_only=True, eq=False)
class Judged:
    """What is judged: the scores of good and of defective images at a threshold.

    Attributes:
        artifact: the artifact as the commands that are recommended name it.
        good: ``(n,)`` scores.
        defective: ``(m,)`` scores.
        calibration: the threshold and its promise.
        image_auroc: of these scores.
    """

    artifact: str
    good: NDArray[np.float64]
    defective: NDArray[np.float64]
    calibration: Calibration
    image_auroc: float

    @property
    def threshold(self) -> float:
        """The threshold that is judged."""
        return self.calibration.threshold


def remarks(judged: Judged) -> tuple[str, ...]:
    """The sentences, the most important first. Of false rejects there is always one."""
    return tuple((*_of_rejects(judged), *_of_misses(judged), *_of_order(judged)))


def is_unlikely(rejected: int, images: int, calibration: Calibration) -> bool:
    """Whether so many good images are rejected less than once in twenty if the promise holds."""
    n = calibration.images
    above = max(1, round(calibration.false_reject_rate * (n + 1)))  # n + 1 - k
    if above > n:  # the threshold is below every score, so that nothing is promised
        return False
    return bool(betabinom.sf(rejected - 1, images, above, n + 1 - above) < _UNLIKELY)


def _of_rejects(judged: Judged) -> Iterator[str]:
    calibration = judged.calibration
    rejected, images = int((judged.good > judged.threshold).sum()), len(judged.good)
    found = f"{rejected} of {images} good parts rejected ({rejected / images:.1%})"
    if not calibration.images:
        yield f"{found}; the artifact promises no rate, as no good image was left out of its fit"
        return
    low, high = calibration.interval
    how = "about" if calibration.method == "leave-one-out" else "at most"
    promise = f"{how} {calibration.false_reject_rate:.1%}"
    interval = f"90% interval {low:.1%} to {high:.1%}"
    if not is_unlikely(rejected, images, calibration):
        yield f"{found}: as promised, {promise} on average ({interval})"
        return
    yield (
        f"{found}, {promise} were promised ({interval}): these good images are not like those of "
        "the fit. Fit again with images like these, or move the threshold"
    )
    allowed = int(calibration.false_reject_rate * images)
    yield from _command(judged, _between(judged.good, allowed), "lenient")


def _of_misses(judged: Judged) -> Iterator[str]:
    """Where the threshold of the best F1 would find clearly more: what, and at which price."""
    scores = np.concatenate([judged.good, judged.defective])
    is_defective = np.arange(len(scores)) >= len(judged.good)
    best = metrics.best_f1(scores, is_defective)
    below = scores[scores < best.threshold]
    moved = (best.threshold + below.max()) / 2 if len(below) else best.threshold
    missed, would_miss = (int((judged.defective <= t).sum()) for t in (judged.threshold, moved))
    found = len(judged.defective) - missed
    rejected = int((judged.good > judged.threshold).sum())
    f1 = 2 * found / (2 * found + rejected + missed)
    if would_miss >= missed or best.f1 - f1 < _MUCH_F1:
        return
    yield (
        f"{missed} of {len(judged.defective)} defective parts missed, {would_miss} by the "
        "threshold of the best F1"
    )
    yield from _command(judged, float(moved), "strict")


def _of_order(judged: Judged) -> Iterator[str]:
    if judged.image_auroc >= _POOR_AUROC:
        return
    yield (
        f"image AUROC {judged.image_auroc:.3f}: no threshold tells these parts well apart. Other "
        "settings may: edge-ad suggest GOOD_PARTS --labelled TEST_PARTS"
    )


def _command(judged: Judged, threshold: float, ending: str) -> Iterator[str]:
    """What a threshold makes of these images, and the command that sets it."""
    typed = f"{threshold:.5g}"
    rejected = int((judged.good > float(typed)).sum())
    missed = int((judged.defective <= float(typed)).sum())
    name = judged.artifact.removesuffix(".zip").removesuffix(".edgead")
    yield (
        f"  edge-ad threshold {judged.artifact} --set {typed} --out {name}-{ending}.edgead\n"
        f"  rejects {rejected} of {len(judged.good)} good parts here and misses {missed} of "
        f"{len(judged.defective)} defective ones. (It was chosen by these images, so measure it on "
        "others.)"
    )


def _between(scores: NDArray[np.float64], above: int) -> float:
    """A threshold that ``above`` of the scores exceed, in the middle of the gap where there is one.

    >>> _between(np.array([1.0, 2.0, 3.0, 5.0]), 1)
    4.0
    """
    falling = np.sort(scores)[::-1]
    at = falling[above]
    if above == 0:
        return float(at * 1.01 if at > 0 else at + 0.01)
    return float((at + falling[above - 1]) / 2)
