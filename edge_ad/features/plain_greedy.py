"""The greedy coreset as printed: the slow truth of `edge_ad.features.coreset`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def plain_greedy(rows: NDArray[np.floating], n_select: int, first: int) -> NDArray[np.int64]:
    """Algorithm 1 as printed, with a pass over all ``(N, d)`` rows for every pick.

    Ties go to the lowest row.
    """
    sq_distances = np.full(len(rows), np.inf, rows.dtype)
    chosen = np.empty(n_select, np.int64)
    pick = first
    for i in range(n_select):
        chosen[i] = pick
        np.minimum(sq_distances, ((rows - rows[pick]) ** 2).sum(axis=1), out=sq_distances)
        sq_distances[chosen[: i + 1]] = -1  # taken, even among duplicates
        pick = int(sq_distances.argmax())
    return chosen
