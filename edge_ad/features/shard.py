"""One machine's share of the rows that a coreset is chosen from: see `edge_ad.features.sharded`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edge_ad.features.distances import Differences, Products, centred, sampled
from edge_ad.features.greedy import TAKEN, Greedy
from edge_ad.features.projection import Rows, project


@dataclass(frozen=True, kw_only=True, eq=False)
class Leaders:
    """The farthest rows of a shard.

    Attributes:
        rows: ``(m,)`` int64, their numbers among the rows of all shards, rising.
        vectors: ``(m, ...)``, the rows as the metric takes them.
        bounds: ``(m,)``, their squared distances to the chosen rows, up to date.
        level: the squared distances of all other rows of the shard are below it.
    """

    rows: NDArray[np.int64]
    vectors: NDArray[np.floating]
    bounds: NDArray[np.floating]
    level: float

    @property
    def nbytes(self) -> int:
        """The size of the arrays."""
        return self.rows.nbytes + self.vectors.nbytes + self.bounds.nbytes


class Shard:
    """Rows that live in a worker, and how far they are from what has been chosen.

    Args:
        source: where the rows are read, and read again if distances must be sharper.
        start: the number of the first of them among the rows of all shards.
        n_select: how many rows will be chosen of all.
        onto: the projection, if there is one.
    """

    def __init__(self, source: Rows, start: int, n_select: int, onto: Tensor | None) -> None:
        self._source = source
        self._start = start
        self._n_select = n_select
        self._onto = onto
        if source.dtype == np.float64:
            self._greedy = Greedy(Differences(project(source, onto)), n_select)
        else:
            self._uncentred = project(source, onto, spare=1)

    def sample(self, total: int) -> NDArray[np.floating]:
        """Every n-th of the ``total`` rows, as far as they are here, to find their centre."""
        return np.array(sampled(self._uncentred, self._start, total).numpy())

    def centre(self, centre: NDArray[np.floating]) -> None:
        """Begin, with rows whose centre is this one: ``(d,)``."""
        if not hasattr(self, "_greedy"):  # or it is asked again
            rows = centred(self._uncentred, torch.tensor(centre))
            self._greedy = Greedy(Products(rows), self._n_select)
            del self._uncentred

    def leaders(self, count: int) -> Leaders:
        """About ``count`` of the farthest rows."""
        rows, level = self._greedy.leaders(count)
        return Leaders(
            rows=rows.numpy() + self._start,
            vectors=self._greedy.metric.rows[rows].numpy(),
            bounds=self._greedy.bounds[rows].numpy(),
            level=level,
        )

    def take(self, before: int, rows: NDArray[np.int64], vectors: NDArray[np.floating]) -> None:
        """Know of rows that were chosen, whosever they are.

        Args:
            before: how many were chosen before them. What is known already is not taken twice.
            rows: ``(m,)``, their numbers among the rows of all shards.
            vectors: ``(m, ...)``, the rows as the metric takes them.
        """
        if before < self._greedy.count:
            return
        self._greedy.add(self._greedy.metric.as_centres(torch.tensor(vectors)))
        own = rows - self._start
        own = own[(own >= 0) & (own < len(self._source))]
        self._greedy.bounds[torch.tensor(own)] = TAKEN

    def vectors(self, rows: NDArray[np.int64], by_differences: bool) -> NDArray[np.floating]:
        """Rows of this shard as the metric takes them: ``(m, ...)``.

        With ``by_differences`` it is the sharper metric, though the shard may not be told yet.
        """
        if by_differences:
            self.sharpen()
        return np.asarray(self._greedy.metric.rows[torch.tensor(rows - self._start)].numpy())

    def own_coreset(self, count: int) -> Leaders:
        """The rows that greed chooses of this shard alone, ``count`` at most."""
        metric = self._greedy.metric
        greedy = Greedy(metric, min(count, len(self._source)))
        chosen = greedy.run(0, lambda: Differences(project(self._source, self._onto)))
        return Leaders(
            rows=chosen + self._start,
            vectors=metric.rows[torch.from_numpy(chosen)].numpy(),
            bounds=np.empty(0),
            level=0.0,
        )

    def sharpen(self) -> None:
        """Go on with sharper distances. All picks must then be told again."""
        metric = Differences(project(self._source, self._onto))
        if not hasattr(self, "_greedy"):  # read again
            self._greedy = Greedy(metric, self._n_select)
            del self._uncentred
        elif isinstance(self._greedy.metric, Products):
            self._greedy.sharpen(metric)

    def farthest(self) -> float:
        """The largest distance of a row to the nearest of the chosen ones."""
        return self._greedy.farthest()
