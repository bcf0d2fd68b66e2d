"""A coreset in two rounds, for links where a round is dear: greed in each shard, then in the union.

Malkomes et al. (2015): the covering radius is within four times the best, where exact greed is
within twice. What it is in truth is measured afterwards.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from edge_ad.compute import Cluster
from edge_ad.features.coreset import Selection
from edge_ad.features.distances import Differences, Products
from edge_ad.features.greedy import Greedy
from edge_ad.features.projection import DIMENSIONS, Rows
from edge_ad.features.shard import Leaders
from edge_ad.features.sharded import Gathering, Traffic

_FIRST_CENTRES = 256  # tell which rows are near something, and need not be compared with the rest


def composable_coreset(
    cluster: Cluster,
    shards: Sequence[Rows],
    n_select: int,
    *,
    seed: int = 0,
    projection_dim: int | None = DIMENSIONS,
) -> tuple[Selection, Traffic]:
    """Rows that cover those of all shards, not as well as `sharded_coreset` but in two rounds.

    The driver holds up to ``n_select`` rows of each shard. See `sharded_coreset` for arguments and
    errors.
    """
    with Gathering(cluster, shards, n_select, seed, projection_dim) as gathering:
        answers: list[Leaders] = gathering.workers.ask("own_coreset", n_select)
        rows = np.concatenate([answer.rows for answer in answers])
        vectors = np.concatenate([answer.vectors for answer in answers])
        pool = torch.from_numpy(vectors)
        exact = gathering.by_differences
        greedy = Greedy(Differences(pool) if exact else Products(pool), n_select)
        picks = greedy.run(0, lambda: Differences(pool[:, :-1]))
        apart = greedy.farthest()
        for part in (picks[:_FIRST_CENTRES], picks[_FIRST_CENTRES:]):
            if len(part):
                gathering.take(rows[part], vectors[part])
                radius = gathering.farthest()
        gathering.traffic.rounds = 2
        gathering.traffic.received_bytes += sum(answer.nbytes for answer in answers)
    selection = Selection(rows=rows[picks], covering_radius=radius, least_radius=apart / 2)
    return selection, gathering.traffic
