"""`Drift`: evidence that parts no longer score as they did, with a bound on false alarms.

Each score is placed among all scores before it, those of the artifact's calibration first. While
parts are exchangeable (any order of them is as likely as any other), the place is uniform in (0, 1)
and independent of the places before, whatever the scores' distribution (Vovk, Testing randomness
online, Statistical Science 36, 2021). Bets against that multiply what is staked on them by a factor
of mean 1. A bet that has lost begins again with a stake of 1, so the evidence is at most the sum of
what all bets have made that began at each part before. That sum minus the number of parts is a
supermartingale, and two things follow for an alarm at evidence c (Shin, Ramdas and Rinaldo,
E-detectors, NEJSDS 2, 2024): a false alarm comes after c good parts or more on average, and within
n good parts with a probability of n / c at most.

The bets are on a shift of all scores and on their spread. None pays more than 1.9 times the stake
for one part, however unusual it is: a few defects are no drift. A drift never changes a verdict.

At an alarm the evidence begins anew, and the parts that made it are forgotten, as they are not what
later parts should be compared with. A drift that stays makes one alarm after the other, and one
that was mended makes no more.
"""

from __future__ import annotations

import math
from bisect import bisect, bisect_left
from collections import deque
from collections.abc import Iterable
from random import Random
from typing import Any

import numpy as np
from numpy.typing import NDArray

ALARM_LOG10 = 6.0
"""The log10 evidence of an alarm: a million good parts between false alarms on average."""

ALARM_PARTS = 500
"""An alarm is over when so many parts have not made another one."""

_MOST_EDGES = 1000  # scores that are kept; of those after them only the gap is counted
_MOST_RECENT = 1000  # parts that can be forgotten

_SIZES = np.array([0.3, 0.6, 0.9])
_SLOPES = np.concatenate([_SIZES, -_SIZES])
_BETS = 2 * len(_SLOPES)

Tagged = tuple[float, float]  # a score, and what breaks ties with others like it


class Drift:
    """Evidence, part by part, that scores are no longer exchangeable with those before.

    It keeps 1,000 scores, or all of the calibration. Of later ones it counts between which of the
    kept ones they lie, which leaves the places exactly uniform.

    >>> drift = Drift.from_calibration([1.0, 1.2, 0.9, 1.1] * 10, seed=0)
    >>> evidence = [drift.update(score) for score in [1.0, 1.1, 0.95] * 30]
    >>> drift.is_alarm, drift.parts
    (False, 90)

    Attributes:
        parts: the number of parts since the calibration.
        evidence_log10: log10 of the evidence after the last part. Before the first it is 0.
        alarms: how many alarms there were.
    """

    def __init__(self, *, seed: int, edges: list[Tagged]) -> None:
        self.parts = 0
        self.evidence_log10 = 0.0
        self.alarms = 0
        self._alarm_part: int | None = None  # of the last alarm
        self._seed = seed
        self._edges = edges  # rising
        self._counts = np.zeros(len(edges) + 1, np.int64)  # scores in the gaps between the edges
        self._recent: deque[Tagged] = deque(maxlen=_MOST_RECENT)
        self._logs = np.zeros(_BETS)  # natural log of what each bet has made
        self._ages = np.zeros(_BETS, np.int64)  # parts since each bet began

    @classmethod
    def from_calibration(cls, scores: Iterable[float], *, seed: int) -> Drift:
        """Begin with the scores of good parts.

        Args:
            scores: of the artifact's calibration, in any order. With none the line's own first
                parts are what later ones are compared with.
            seed: of the tie-breaks and of the places within a gap.
        """
        random = Random(f"{seed} calibration")
        return cls(seed=seed, edges=sorted((_finite(score), random.random()) for score in scores))

    @property
    def is_alarm(self) -> bool:
        """Whether one of the last `ALARM_PARTS` parts has made an alarm."""
        return self._alarm_part is not None and self.parts - self._alarm_part < ALARM_PARTS

    def update(self, score: float) -> float:
        """Take the score of one more part, good or not.

        Returns:
            The log10 of the evidence. `ALARM_LOG10` or more is an alarm.

        Raises:
            ValueError: the score is not finite.
        """
        random = Random(f"{self._seed} {self.parts}")
        tagged = (_finite(score), random.random())
        self._bet(self._place(tagged, random.random()))
        self._learn(tagged)
        self.parts += 1
        if self.evidence_log10 >= ALARM_LOG10:
            self._alarm()
        return self.evidence_log10

    def _place(self, tagged: Tagged, within: float) -> float:
        """Where a score is among those before: uniform if it is exchangeable with them.

        The ``k`` scores in a gap leave ``k + 1`` equally likely positions in it for one more.
        """
        gap = bisect(self._edges, tagged)
        below = int(self._counts[:gap].sum()) + gap
        positions = int(self._counts.sum()) + len(self._edges) + 1
        return (below + within * (int(self._counts[gap]) + 1)) / positions

    def _bet(self, place: float) -> None:
        shift, spread = 2 * place - 1, math.cos(2 * math.pi * place)
        paid = np.concatenate([1 + _SLOPES * shift, 1 + _SLOPES * spread])
        self._ages = np.where(self._logs > 0, self._ages, 0) + 1
        self._logs = np.maximum(self._logs, 0) + np.log(paid)
        mean = np.logaddexp.reduce(self._logs) - math.log(_BETS)
        self.evidence_log10 = float(mean / math.log(10))

    def _learn(self, tagged: Tagged) -> None:
        self._recent.append(tagged)
        gap = bisect(self._edges, tagged)
        if len(self._edges) < _MOST_EDGES and not self._counts[gap]:
            self._edges.insert(gap, tagged)
            self._counts = np.insert(self._counts, gap, 0)
        else:
            self._counts[gap] += 1

    def _alarm(self) -> None:
        """Forget the parts since the bet began that won most, and begin all bets anew."""
        self.alarms += 1
        self._alarm_part = self.parts
        since = min(int(self._ages[self._logs.argmax()]), len(self._recent))
        for _ in range(since):
            self._forget(self._recent.pop())
        self._logs = np.zeros(_BETS)

    def _forget(self, tagged: Tagged) -> None:
        gap = bisect_left(self._edges, tagged)
        if gap < len(self._edges) and self._edges[gap] == tagged:
            del self._edges[gap]
            self._counts[gap] += self._counts[gap + 1]
            self._counts = np.delete(self._counts, gap + 1)
        else:
            self._counts[gap] -= 1

    def state(self) -> dict[str, Any]:
        """All that `restore` needs, for JSON: at most about 100 kB."""
        return {
            "seed": self._seed,
            "parts": self.parts,
            "evidence_log10": self.evidence_log10,
            "alarms": self.alarms,
            "alarm_part": self._alarm_part,
            "edges": [list(edge) for edge in self._edges],
            "counts": self._counts.tolist(),
            "recent": [list(tagged) for tagged in self._recent],
            "logs": self._logs.tolist(),
            "ages": self._ages.tolist(),
        }

    @classmethod
    def restore(cls, state: dict[str, Any]) -> Drift:
        """Go on where `state` was taken.

        Raises:
            ValueError: the state is not one of this class.
        """
        try:
            drift = cls(seed=int(state["seed"]), edges=_pairs(state["edges"]))
            drift.parts, drift.alarms = int(state["parts"]), int(state["alarms"])
            drift.evidence_log10 = _finite(state["evidence_log10"])
            alarm_part = state["alarm_part"]
            drift._alarm_part = None if alarm_part is None else int(alarm_part)
            drift._counts = _array(state["counts"], len(drift._edges) + 1, np.int64)
            drift._recent.extend(_pairs(state["recent"]))
            drift._logs = _array(state["logs"], _BETS, np.float64)
            drift._ages = _array(state["ages"], _BETS, np.int64)
        except (KeyError, TypeError) as exc:
            raise ValueError(f"no state of a drift: {exc!r}") from exc
        return drift


def _finite(score: float) -> float:
    if not math.isfinite(score):
        raise ValueError(f"a score must be finite, found {score}")
    return float(score)


def _pairs(found: Iterable[Iterable[float]]) -> list[Tagged]:
    return [(_finite(score), float(tag)) for score, tag in found]


def _array(found: Any, count: int, kind: type[np.generic]) -> NDArray[Any]:
    values = np.array(found, kind)
    if values.shape != (count,):
        raise ValueError(f"state of a drift: expected {count} numbers, found {values.shape}")
    return values
