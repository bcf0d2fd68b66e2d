"""The scores of good images that a threshold is learned from, and what a rank among them is worth.

Of n scores the k-th smallest is the threshold of the rate (n + 1 - k) / (n + 1). Why, and what it
promises, is in ``edge_ad.fitting.calibrate``. The rule is here because a manifest whose threshold
does not follow from its own scores is refused, and because a device may move the threshold.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

MOST_SCORES = 5000  # the most scores that a manifest keeps

_ROUNDING = 1e-9  # (n + 1)(1 - 1 / (n + 1)) must not round up past n
_WHOLE = 1e-3  # how far a rank that is computed from a rate may be from a whole number


def smallest_rate(images: int) -> float:
    """The smallest false-reject rate that so many scores support.

    >>> smallest_rate(39)
    0.025
    """
    return 1 / (images + 1)


def images_needed(rate: float) -> int:
    """How many good images a false-reject rate in (0, 1) needs.

    >>> images_needed(0.01)
    99
    """
    return math.ceil(1 / rate - _ROUNDING) - 1


@dataclass(frozen=True, kw_only=True, eq=False)
class CalibrationScores:
    """The scores of n good images, by rank. The smallest has rank 1 and the largest rank n.

    Of more than `MOST_SCORES` images that many scores are kept, evenly spaced in rank. What is said
    of the others is then on the careful side.

    Attributes:
        images: n, the number of good images.
        kept: the scores that are kept, rising.
    """

    images: int
    kept: tuple[float, ...]

    @classmethod
    def of(cls, scores: Iterable[float]) -> CalibrationScores:
        """Keep of ``(n,)`` scores in any order as many as a manifest holds."""
        rising = sorted(map(float, scores))
        kept = [rising[rank - 1] for rank in _kept_ranks(len(rising)).tolist()]
        return cls(images=len(rising), kept=tuple(kept))

    @property
    def ranks(self) -> NDArray[np.int64]:
        """The ranks of the scores that are kept, rising."""
        return _kept_ranks(self.images)

    def rank_at_rate(self, rate: float) -> int:
        """The smallest rank that is kept and whose rate is no larger.

        Args:
            rate: in (0, 1), and no smaller than `smallest_rate`.

        >>> CalibrationScores.of(range(99)).rank_at_rate(0.05)
        95
        """
        needed = max(1, math.ceil((self.images + 1) * (1 - rate) - _ROUNDING))
        ranks = self.ranks
        return int(ranks[np.searchsorted(ranks, min(needed, self.images))])

    def rank_of(self, threshold: float) -> int:
        """How many of the n scores are certainly not above the threshold.

        >>> CalibrationScores.of(range(99)).rank_of(2.5)
        3
        """
        count = int(np.searchsorted(self.kept, threshold, side="right"))
        return int(self.ranks[count - 1]) if count else 0

    def rate_of(self, rank: int) -> float:
        """The false-reject rate of the threshold that has this rank. Rank 0 is below all scores."""
        return (self.images + 1 - rank) / (self.images + 1)

    def score_at(self, rank: int) -> float:
        """The score of a rank that is kept."""
        return self.kept[int(np.searchsorted(self.ranks, rank))]

    def check(self) -> None:
        """Refuse scores that do not rise, or that are not as many as the images make.

        Raises:
            ValueError: the message says what was found.
        """
        expected = min(self.images, MOST_SCORES)
        if len(self.kept) != expected:
            raise ValueError(
                f"scores: expected {expected}, as images is {self.images}, found {len(self.kept)}"
            )
        if fall := next((pair for pair in pairwise(self.kept) if pair[0] > pair[1]), None):
            raise ValueError(f"scores: expected them rising, found {fall[1]:g} after {fall[0]:g}")

    def check_threshold(self, threshold: float, rate: float, *, learned: bool) -> None:
        """Refuse a threshold that is not the one of this rate among these scores.

        Args:
            threshold: in the unit of the scores.
            rate: the false-reject rate that is stated of it.
            learned: whether the threshold must be one of the scores. Otherwise it may lie between
                two of them.

        Raises:
            ValueError: it does not follow.
        """
        exact = self.images + 1 - rate * (self.images + 1)
        rank = round(exact)
        if abs(exact - rank) > _WHOLE or not int(learned) <= rank <= self.images:
            raise ValueError(
                f"false_reject_rate: expected a multiple of 1 / {self.images + 1}, as images is "
                f"{self.images}, found {rate:g}"
            )
        least, most = self._around(rank if learned else rank + 1, rank)
        if not least <= threshold <= most or (threshold == most and not learned):
            between = f"from {least:g} to {most:g}" if least < most else f"of {least:g}"
            raise ValueError(
                f"threshold: expected one {between}, as the scores and a false_reject_rate of "
                f"{rate:g} make it, found {threshold:g}"
            )

    def _around(self, above: int, below: int) -> tuple[float, float]:
        """The nearest kept scores of a rank of ``below`` or less and of ``above`` or more."""
        ranks = self.ranks
        least = int(np.searchsorted(ranks, below, side="right"))
        most = int(np.searchsorted(ranks, above))
        return (
            self.kept[least - 1] if least else -math.inf,
            self.kept[most] if most < len(self.kept) else math.inf,
        )


def _kept_ranks(images: int) -> NDArray[np.int64]:
    """The ranks, rising, of the scores that are kept of so many images."""
    kept = min(images, MOST_SCORES)
    return np.asarray(1 + np.linspace(0, max(images - 1, 0), kept).round().astype(np.int64))
