"""What the draws of a record come to: the share of good parts that each way has rejected."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ad_runtime.artifact.calibration_scores import CalibrationScores, smallest_rate

WAYS = ("leave-one-out", "split")


@dataclass(frozen=True, kw_only=True)
class Row:
    """All draws of one number of images, by one way and at one rate.

    Attributes:
        source: the images that were drawn from.
        number: of images drawn.
        way: a word of `WAYS`.
        draws: how many there are.
        stated: the rate that `fit` would print, which is the asked one or just below.
        rejected: the mean share of good images that were rejected.
        error: the standard error of that mean, over the draws.
        found: the mean share of defective images that were found.
        auroc: the mean image AUROC.
    """

    source: str
    number: int
    way: str
    draws: int
    stated: float
    rejected: float
    error: float
    found: float
    auroc: float


def rows(record: dict[str, Any], asked: float | None) -> Iterator[Row]:
    """The rows of one rate, or with None of the smallest that the scores support.

    There is no row where the scores do not support the rate.
    """
    for key, draws in record["runs"].items():
        source, number = key.rsplit(", ", 1)
        for way in WAYS:
            scores = draws[0][way]["scores"]
            rate = smallest_rate(scores) if asked is None else asked
            if rate < smallest_rate(scores):
                continue
            at = 0 if asked is None else 1 + record["rates"].index(asked)
            known = CalibrationScores.of(range(scores))
            rejected = _shares(draws, way, "rejected", at, record["tested"])
            yield Row(
                source=source,
                number=int(number),
                way=way,
                draws=len(draws),
                stated=known.rate_of(known.rank_at_rate(rate)),
                rejected=float(rejected.mean()),
                error=float(rejected.std(ddof=1) / len(draws) ** 0.5),
                found=float(_shares(draws, way, "found", at, record["defective"]).mean()),
                auroc=float(np.mean([draw[way]["auroc"] for draw in draws])),
            )


def _shares(
    draws: list[dict[str, Any]], way: str, key: str, at: int, of: int
) -> NDArray[np.float64]:
    return np.array([draw[way][key][at] for draw in draws]) / of
