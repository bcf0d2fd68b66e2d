"""An approximate search made certain where it matters: the image's largest patch distance.

An approximate neighbour is never nearer than the true one, so every approximate patch distance is
an upper bound. Patches are searched exactly in falling order of their bounds, a few at a time,
until the next bound is not above the largest exact distance: no other patch can win, and the image
score (equations 6 and 7) is that of the exact search.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge_ad_runtime.search import Nearest, Search, mean_distances

_BATCH = 16


def certified(
    queries: NDArray[np.float32], bounds: Nearest, exact: Search, *, squared: bool
) -> Nearest:
    """Replace the distances of as many patches as it takes by exact ones.

    Args:
        queries: ``(q, D)``.
        bounds: what an approximate search found for them, ``(q, k)``.
        exact: the exhaustive search of the same bank.
        squared: whether a patch's distance is the mean of its k squared distances.

    Returns:
        The same, but exact for the ``scanned`` patches with the largest bounds, among which is
        the patch with the largest true distance.
    """
    k = bounds.rows.shape[1]
    distances, rows = bounds.distances.copy(), bounds.rows.copy()
    upper = mean_distances(distances, squared=squared)
    order = np.argsort(-upper, kind="stable")
    largest, scanned = -np.inf, 0
    while scanned < len(queries) and upper[order[scanned]] > largest:
        batch = order[scanned : scanned + _BATCH]
        found = exact.nearest(queries[batch], k)
        distances[batch], rows[batch] = found.distances, found.rows
        largest = max(largest, float(mean_distances(found.distances, squared=squared).max()))
        scanned += len(batch)
    return Nearest(distances, rows, scanned)
