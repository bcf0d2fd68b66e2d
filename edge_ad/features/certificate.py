"""How well any rows cover the rows that they stand for, whoever chose them.

Two numbers are measured afterwards. The *covering radius* is the largest distance of any row to the
nearest of the k chosen ones. And among k + 1 rows that lie at least delta apart, two must share one
of any k centres, so that one of them is at least delta / 2 from it: no k centres have a smaller
covering radius. Greed finds such rows: its k picks and the farthest row that is left.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edge_ad.features.coreset import Selection
from edge_ad.features.distances import Differences, Products, centre_of, centred, sampled
from edge_ad.features.greedy import Greedy
from edge_ad.features.projection import DIMENSIONS, drawn, project
from edge_ad_runtime.artifact.head_records import Certificate

_FIRST_CENTRES = 256  # tell which rows are near something, and need not be compared with the rest
_SAMPLE = 4  # rows for each chosen one, among which greed looks for those that lie far apart


def of_greed(selection: Selection, width: int) -> Certificate:
    """The certificate of rows of ``width`` numbers that greed has chosen after its projection."""
    return Certificate(
        covering_radius=selection.covering_radius,
        least_radius=selection.least_radius,
        dimensions=min(width, DIMENSIONS),
    )


def certify(
    patches: NDArray[np.float32], chosen: NDArray[np.float32], *, seed: int = 0
) -> Certificate:
    """The certificate of any rows, after the projection that greed chooses by.

    The least radius is found in a sample of the patches. So it may be smaller than it is in truth,
    and the ratio larger.

    Args:
        patches: ``(N, D)``, which may be on disk.
        chosen: ``(k, D)``, which need not be among them.
        seed: draws the projection and the sample.
    """
    width, rng = patches.shape[1], np.random.default_rng(seed)
    onto = drawn(width, patches.dtype, DIMENSIONS, rng)
    rows, centres = project(patches, onto, spare=1), project(chosen, onto, spare=1)
    centre = centre_of(sampled(rows, 0, len(rows)))
    greedy = Greedy(Products(centred(rows, centre)), len(chosen))
    all_centres = greedy.metric.as_centres(centred(centres, centre))
    greedy.add(all_centres[:_FIRST_CENTRES])
    greedy.update(torch.arange(len(rows)))
    greedy.add(all_centres[_FIRST_CENTRES:])
    size = min(len(rows), _SAMPLE * len(chosen) + 1)
    some = rng.choice(len(rows), size, replace=False)
    return Certificate(
        covering_radius=greedy.farthest(),
        least_radius=least_radius(rows[torch.from_numpy(some)], len(chosen)),
        dimensions=min(width, DIMENSIONS),
    )


def least_radius(rows: Tensor, count: int) -> float:
    """Half the smallest distance among ``count`` + 1 rows that lie far apart.

    Args:
        rows: ``(n, d + 1)``, `centred`. With no more than ``count`` of them it is 0.
        count: how many centres there may be.
    """
    if len(rows) <= count:
        return 0.0
    greedy = Greedy(Products(rows), count)
    greedy.run(0, lambda: Differences(rows[:, :-1]))
    return greedy.farthest() / 2
