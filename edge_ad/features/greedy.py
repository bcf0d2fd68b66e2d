"""The greedy choice of rows, at GEMM speed: see `edge_ad.features.coreset` for why it is exact."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edge_ad.features.distances import TILE_ROWS, Metric
from edge_ad_runtime.progress import ProgressBar

_ACTIVE_ROWS = 16_384  # the active rows are at least so many, and at least this share of all:
_ACTIVE_SHARE = 1 / 16  # cutting them means looking at every bound
_BLOCK_ROWS = 2_048
_PRECISION = 1e-4  # largest relative error of a squared distance that picks are made by
TAKEN = -1.0
"""The squared distance of a row already chosen, which is never the largest."""


class Greedy:
    """The state of one selection, or of one machine's share of it.

    Args:
        metric: distances between the rows.
        capacity: how many rows are chosen in all.
        bar: counts the rows that are chosen. None shows nothing.

    Attributes:
        bounds: ``(N,)`` upper bounds of the squared distance to the chosen rows. For the chosen
            rows themselves they are `TAKEN`.
        seen: ``(N,)`` how many of the chosen rows each bound takes into account.
        centres: ``(capacity, ...)`` the chosen rows so far.
        count: how many they are.
        chosen: their numbers, as far as they were picked here.
    """

    def __init__(self, metric: Metric, capacity: int, bar: ProgressBar[None] | None = None) -> None:
        rows = metric.rows
        self.metric = metric
        self.capacity = capacity
        self.bar = bar
        self.bounds = torch.full((len(rows),), torch.inf, dtype=rows.dtype, device=rows.device)
        self.seen = torch.zeros(len(rows), dtype=torch.int32, device=rows.device)
        self.centres = torch.empty(capacity, rows.shape[1], dtype=rows.dtype, device=rows.device)
        self.count = 0
        self.chosen: list[int] = []
        self._everything = torch.arange(len(rows), device=rows.device)

    def run(self, first: int, sharper: Callable[[], Metric]) -> NDArray[np.int64]:
        """Choose all rows, beginning with ``first``.

        Args:
            first: a row's number.
            sharper: gives the metric to go on with where the first one's error shows.
        """
        self.take(self._everything[first : first + 1])
        self.update(self._everything)
        while self.count < self.capacity:
            active, level = largest(self.bounds, self._everything, self._active_rows, floor=0.0)
            if level == 0 and not self.bounds[active].any():  # only copies of chosen rows are left
                self.take(active[: self.capacity - self.count])
            self.update(active)
            if not self.pick_from(active, level):
                self.sharpen(sharper())
                self.add(self.metric.centres(torch.tensor(self.chosen, device=self.bounds.device)))
        return np.array(self.chosen, np.int64)

    def leaders(self, count: int) -> tuple[Tensor, float]:
        """About ``count`` of the farthest rows, in order and up to date, and a level.

        All other rows are strictly below the level. Of rows at distance 0 there are no more than
        can still be chosen.
        """
        size = max(count, self._active_rows)
        while True:
            active, level = largest(self.bounds, self._everything, size, floor=0.0)
            self.update(active)
            bounds = self.bounds[active]
            if level == 0 or int((bounds >= level).sum()) >= min(count, len(bounds)):
                break
            size *= 2
        rows, level = largest(bounds, active, count, floor=level)
        found = self.bounds[rows]
        if not found.any():
            return rows[: self.capacity - self.count], level
        return rows[found > 0], max(level, torch.finfo(found.dtype).tiny)

    def farthest(self) -> float:
        """The largest distance of any row to the nearest of the chosen ones."""
        rows, _ = self.leaders(1)
        return float(self.bounds[rows].max().clamp(min=0).sqrt()) if len(rows) else 0.0

    def pick_from(self, active: Tensor, level: float) -> bool:
        """Pick until the farthest active row is below ``level``, the bound of all others.

        Returns:
            False if the picks have come so close that the metric's error would decide.
        """
        while self.count < self.capacity:
            bounds = self.bounds[active]
            if bounds.max() < level:
                return True
            trusted = float(self.metric.error(active).max()) / _PRECISION
            if bounds.max() < trusted:
                return False
            block, block_level = largest(bounds, active, _BLOCK_ROWS, floor=level)
            self._pick_from_block(block, max(block_level, trusted))
            self.update(active)
        return True

    def _pick_from_block(self, block: Tensor, level: float) -> None:
        """The plain pass on up-to-date rows, until the farthest is below ``level``."""
        between = self._among(block)
        bounds = self.bounds[block].cpu().numpy()
        picks: list[int] = []
        while self.count + len(picks) < self.capacity:
            at = int(bounds.argmax())
            if bounds[at] < level:
                break
            picks.append(at)
            np.minimum(bounds, between(at), out=bounds)
            bounds[at] = TAKEN
        self.bounds[block] = torch.from_numpy(bounds).to(self.bounds.device)
        self.take(block[picks])
        self.seen[block] = self.count

    def _among(self, block: Tensor) -> Callable[[int], NDArray[np.floating]]:
        """Distances from one row of the block to all of them, in one product if it is small."""
        centres = self.metric.centres(block)
        if len(block) > 4 * _BLOCK_ROWS:  # thousands of rows equally far: memory is not endless
            return lambda at: self.metric.between(block, centres[at : at + 1])[:, 0].cpu().numpy()
        every = self.metric.between(block, centres).T.contiguous().cpu().numpy()
        return lambda at: np.asarray(every[at])

    def sharpen(self, metric: Metric) -> None:
        """Go on with a sharper metric: what the bounds may be off by is added to them.

        The chosen rows must be given again with `add`.
        """
        error = 4 * self.metric.error(self._everything)
        self.bounds += torch.where(self.bounds == TAKEN, 0, error)
        self.seen.zero_()
        self.metric = metric
        self.centres = torch.empty(self.capacity, metric.rows.shape[1], dtype=self.bounds.dtype).to(
            self.bounds.device
        )
        self.count = 0

    def take(self, indices: Tensor) -> None:
        """Choose rows of this machine."""
        self.add(self.metric.centres(indices))
        self.bounds[indices] = TAKEN
        self.chosen += indices.tolist()
        if self.bar is not None:
            self.bar.update(len(indices))

    def add(self, centres: Tensor) -> None:
        """Know of chosen rows, in the metric's form of centres."""
        self.centres[self.count : self.count + len(centres)] = centres
        self.count += len(centres)

    def update(self, indices: Tensor) -> None:
        """Compare rows with the centres that each has not seen, those of like age together."""
        order = self.seen[indices].argsort()
        for part in torch.split(indices[order], TILE_ROWS):
            oldest = int(self.seen[part[0]]) if len(part) else self.count
            unseen = self.centres[oldest : self.count]
            if len(unseen) > 0:
                nearest = self.metric.to_nearest(part, unseen)
                self.bounds[part] = torch.minimum(self.bounds[part], nearest)
        self.seen[indices] = self.count

    @property
    def _active_rows(self) -> int:
        return max(_ACTIVE_ROWS, int(len(self.bounds) * _ACTIVE_SHARE))


def largest(bounds: Tensor, indices: Tensor, count: int, *, floor: float) -> tuple[Tensor, float]:
    """About ``count`` of ``indices``, in order, and a level: all others are strictly below it."""
    level = floor
    if len(bounds) > count:
        level = max(floor, float(bounds.kthvalue(len(bounds) - count + 1).values))
    return indices[bounds >= level], level
