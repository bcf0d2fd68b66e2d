"""Trials in order: by labels where there are some, and else by damaged copies of good images.

With labels the choice is made by all of them, so that its own AUROC is flattered. What is reported
is therefore measured apart: the labelled images are cut in two halves, the best settings of each
half are measured on the other, and the two figures are averaged. It says what choosing in this way
is worth, and not how good a setting looks on the images that chose it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_ad.suggesting.sample import DAMAGED, GOOD, LABELLED_DEFECTIVE, LABELLED_GOOD
from edge_ad.suggesting.trial import Trial
from edge_ad_runtime.proof.auroc import image_auroc

_AS_GOOD = 0.005  # settings this close in AUROC are taken for equal, and the fastest is chosen


@dataclass(frozen=True, kw_only=True, eq=False)
class Ranked:
    """A trial with its figures.

    Attributes:
        trial: the settings and their scores.
        damaged_auroc: of held-out good images and damaged copies of them.
        labelled_auroc: of all labelled images, which have chosen. None without labels.
        within_budget: whether it is estimated to be fast enough.
    """

    trial: Trial
    damaged_auroc: float
    labelled_auroc: float | None
    within_budget: bool

    @property
    def auroc(self) -> float:
        """What it is ranked by."""
        return self.damaged_auroc if self.labelled_auroc is None else self.labelled_auroc


def rank(trials: Sequence[Trial], budget_ms: float | None) -> list[Ranked]:
    """All trials, the suggested one first, those over the budget last."""
    found = [
        Ranked(
            trial=trial,
            damaged_auroc=_auroc(trial, GOOD, DAMAGED),
            labelled_auroc=_auroc(trial, LABELLED_GOOD, LABELLED_DEFECTIVE)
            if LABELLED_GOOD in trial.scores
            else None,
            within_budget=budget_ms is None or trial.ms <= budget_ms,
        )
        for trial in trials
    ]
    best = max((r.auroc for r in found if r.within_budget), default=0.0)

    def place(ranked: Ranked) -> tuple[bool, bool, float, float]:
        """Those within the budget, of them those as good as the best, of these the fastest."""
        is_best = ranked.within_budget and ranked.auroc >= best - _AS_GOOD
        return (
            not ranked.within_budget,
            not is_best,
            ranked.trial.ms if is_best else 0,
            -ranked.auroc,
        )

    return sorted(found, key=place)


def held_apart(trials: Sequence[Trial], seed: int) -> float | None:
    """The AUROC that choosing by labels is worth, by two halves. None if there are too few."""
    good, bad = (trials[0].scores.get(name) for name in (LABELLED_GOOD, LABELLED_DEFECTIVE))
    if good is None or bad is None or min(len(good), len(bad)) < 4:
        return None
    rng = np.random.default_rng(seed)
    halves = [_halves(len(scores), rng) for scores in (good, bad)]
    figures = []
    for chooses, reports in ((0, 1), (1, 0)):
        chosen = max(trials, key=lambda t: _of_half(t, [half[chooses] for half in halves]))
        figures.append(_of_half(chosen, [half[reports] for half in halves]))
    return float(np.mean(figures))


def _halves(count: int, rng: np.random.Generator) -> list[NDArray[np.int64]]:
    return [np.asarray(half) for half in np.array_split(rng.permutation(count), 2)]


def _of_half(trial: Trial, at: Sequence[NDArray[np.int64]]) -> float:
    return image_auroc(trial.scores[LABELLED_GOOD][at[0]], trial.scores[LABELLED_DEFECTIVE][at[1]])


def _auroc(trial: Trial, good: str, bad: str) -> float:
    return image_auroc(trial.scores[good], trial.scores[bad])
