"""The greedy coreset of rows that no single machine holds: the same picks, in few rounds.

This is `edge_ad.features.coreset`, with the rows cut into shards. A round goes like this:

1. Each shard brings its farthest rows up to date, as far as it must to be sure of them. It sends
   them, and a level that all its other rows are below.
2. The driver picks greedily among what has come, for as long as the farthest is at least as far as
   the highest level. No row that stayed behind could have been the next pick.
3. It sends the picks to all shards.

So the order is that of the plain pass: in float64 exactly, in float32 but for rows that are equally
far to within rounding.

The driver keeps the numbers of the picks, and the rows of one round. What a shard knows is a
function of its rows and of the picks so far. A shard that dies is therefore read again, and told of
all picks, whose vectors the shards that hold them send once more.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edge_ad.compute import Cluster
from edge_ad.features.coreset import Selection, check_rows
from edge_ad.features.distances import Differences, Products, centre_of
from edge_ad.features.greedy import Greedy
from edge_ad.features.projection import DIMENSIONS, Rows, drawn
from edge_ad.features.shard import Leaders, Shard
from edge_ad_runtime.progress import ProgressBar

_LEAST_SENT = 1_024  # rows that a shard sends in a round, at least
_ROUNDS = 24  # about so many rounds are aimed at: more rows are sent where fewer were picked
_MOST_AT_ONCE = 262_144  # rows that this process holds of a round, 135 MB at d* = 128
_REPLAYED = 16_384  # picks that a shard is told of at once


@dataclass(kw_only=True)
class Traffic:
    """What a choice has cost beside the arithmetic.

    Attributes:
        rounds: how often the shards and the driver waited for one another.
        received_bytes: what the shards sent to the driver.
        sent_bytes: what the driver sent to all shards together.
        rebuilt: how many shards have died and were read again.
    """

    rounds: int = 0
    received_bytes: int = 0
    sent_bytes: int = 0
    rebuilt: int = 0


def sharded_coreset(
    cluster: Cluster,
    shards: Sequence[Rows],
    n_select: int,
    *,
    seed: int = 0,
    projection_dim: int | None = DIMENSIONS,
    progress: bool = False,
) -> tuple[Selection, Traffic]:
    """The choice of `greedy_coreset` from the rows of all shards, one after the other.

    A worker needs 4 (d* + 1) + 16 bytes for each of its rows, and 4 (d* + 1) for each pick. The
    driver needs 4 (d* + 1) for each row of a round.

    Args:
        cluster: where the shards live. It must have room for all of them at once.
        shards: where each worker reads its rows, ``(n_i, D)``.
        n_select: how many rows to take of all.
        seed: see `greedy_coreset`.
        projection_dim: see `greedy_coreset`.
        progress: show a bar on stderr.

    Raises:
        ConfigError, FitError: see `greedy_coreset`.
        ClusterError: a worker dies again and again, or there is no room for the shards.
    """
    with Gathering(cluster, shards, n_select, seed, projection_dim) as gathering:
        with ProgressBar[None](
            total=n_select, desc="coreset", unit="row", disable=not progress
        ) as bar:
            for picks in gathering.rounds():
                bar.update(picks)
        radius = gathering.farthest()
        rows = np.array(gathering.chosen, np.int64)
    selection = Selection(rows=rows, covering_radius=radius, least_radius=radius / 2)
    return selection, gathering.traffic


class Gathering:
    """The driver of the shards.

    Attributes:
        workers: the shards.
        by_differences: whether distances are summed from differences.
        chosen: the numbers of the picks so far, among the rows of all shards.
        traffic: what it has cost so far.
    """

    def __init__(
        self,
        cluster: Cluster,
        shards: Sequence[Rows],
        n_select: int,
        seed: int,
        projection_dim: int | None,
    ) -> None:
        self._starts = np.cumsum([0, *map(len, shards)])
        total, first = int(self._starts[-1]), shards[0]
        check_rows(_Counted(first, total), n_select)
        rng = np.random.default_rng(seed)
        self._first = int(rng.integers(total))
        onto = drawn(first.shape[1], first.dtype, projection_dim, rng)
        self.n_select = n_select
        self.chosen: list[int] = []
        self.traffic = Traffic()
        self._centre: Tensor | None = None
        self.by_differences = first.dtype == np.float64
        self.workers = cluster.workers(
            Shard,
            [
                (rows, int(start), n_select, onto)
                for rows, start in zip(shards, self._starts, strict=False)
            ],
            restore=self._restore,
        )
        if not self.by_differences:
            samples = self.workers.ask("sample", total)
            self._centre = centre_of(torch.from_numpy(np.concatenate(samples)))
            self.workers.ask("centre", self._centre.numpy())

    def rounds(self) -> Iterator[int]:
        """Pick until all are picked, and give how many each round has picked."""
        self.take(np.array([self._first]), self._vectors([self._first]))
        yield 1
        sent = _LEAST_SENT
        aim = math.ceil(self.n_select / _ROUNDS)
        while len(self.chosen) < self.n_select:
            picked = self._round(sent)
            yield picked
            if 0 < picked < aim:
                most = max(_LEAST_SENT, _MOST_AT_ONCE // len(self.workers))
                sent = min(most, math.ceil(sent * min(2.0, aim / picked)))

    def farthest(self) -> float:
        """The covering radius of what is chosen."""
        return float(max(self.workers.ask("farthest")))

    def _round(self, sent: int) -> int:
        answers: list[Leaders] = self.workers.ask("leaders", sent)
        self.traffic.rounds += 1
        self.traffic.received_bytes += sum(answer.nbytes for answer in answers)
        rows = np.concatenate([answer.rows for answer in answers])
        vectors = np.concatenate([answer.vectors for answer in answers])
        bounds = np.concatenate([answer.bounds for answer in answers])
        level = max(answer.level for answer in answers)
        left = self.n_select - len(self.chosen)
        if not bounds.any():  # only copies of chosen rows are left
            self.take(rows[:left], vectors[:left])
            return len(rows[:left])
        pool = torch.from_numpy(vectors)
        metric = Differences(pool) if self.by_differences else Products(pool)
        greedy = Greedy(metric, min(left, len(pool)))
        greedy.bounds = torch.from_numpy(bounds)
        is_precise = greedy.pick_from(torch.arange(len(pool)), level)
        if greedy.chosen:
            self.take(rows[greedy.chosen], vectors[greedy.chosen])
        if not is_precise:
            self._sharpen()
        return len(greedy.chosen)

    def take(self, rows: NDArray[np.int64], vectors: NDArray[np.floating]) -> None:
        """Choose rows, ``(m,)`` by their numbers, whose vectors are ``(m, ...)``."""
        before = len(self.chosen)
        self.chosen += rows.tolist()  # first, so that a shard that dies now is told of them
        self._tell(before, rows, vectors)

    def _tell(self, before: int, rows: NDArray[np.int64], vectors: NDArray[np.floating]) -> None:
        self.workers.ask("take", before, rows, vectors)
        self.traffic.sent_bytes += len(self.workers) * (rows.nbytes + vectors.nbytes)
        self.traffic.rebuilt = self.workers.rebuilt

    def _sharpen(self) -> None:
        """Go on with differences, whose vectors the shards must read anew."""
        self.by_differences = True
        self.workers.ask("sharpen")
        for before in range(0, len(self.chosen), _REPLAYED):
            part = self.chosen[before : before + _REPLAYED]
            self._tell(before, np.array(part), self._vectors(part))

    def _restore(self, number: int) -> None:
        """Bring a shard that was read again to where the others are."""
        ask = self.workers.ask_one
        if self.by_differences:
            ask(number, "sharpen")
        elif self._centre is not None:
            ask(number, "centre", self._centre.numpy())
        for before in range(0, len(self.chosen), _REPLAYED):
            part = self.chosen[before : before + _REPLAYED]
            vectors = self._vectors(part)
            ask(number, "take", before, np.array(part), vectors)
            self.traffic.sent_bytes += vectors.nbytes

    def _vectors(self, rows: Sequence[int]) -> NDArray[np.floating]:
        """Rows after the projection, from the shards that hold them."""
        wanted = np.array(rows)
        owners = np.searchsorted(self._starts, wanted, side="right") - 1
        found: NDArray[np.floating] | None = None
        for owner in np.unique(owners).tolist():
            own = owners == owner
            part = self.workers.ask_one(owner, "vectors", wanted[own], self.by_differences)
            if found is None:
                found = np.empty((len(wanted), part.shape[1]), part.dtype)
            found[own] = part
            self.traffic.received_bytes += part.nbytes
        assert found is not None, "callers give rows"
        return found

    def __enter__(self) -> Gathering:
        return self

    def __exit__(self, *error: object) -> None:
        self.workers.__exit__(*error)


@dataclass(frozen=True)
class _Counted:
    """The first shard, as if it had the rows of all."""

    first: Rows
    total: int

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.total, *self.first.shape[1:])

    @property
    def dtype(self) -> np.dtype:
        return self.first.dtype

    def __len__(self) -> int:
        return self.total

    def __getitem__(self, part: slice, /) -> NDArray[np.floating]:
        return self.first[part]
