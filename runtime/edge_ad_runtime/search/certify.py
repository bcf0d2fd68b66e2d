"""An approximate search made certain where it matters: the image's largest patch distance.

An approximate neighbour is never nearer than the true one, so every approximate patch distance is
an upper bound. Patches are searched exactly in falling order of their bounds until the next bound
is not above the largest exact distance: no other patch can win, and the image score (equations 6
and 7) is that of the exact search.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge_ad_runtime.search import Nearest, mean_distances, measured
from edge_ad_runtime.search.codes import Codes


def certified(
    queries: NDArray[np.float32],
    bounds: Nearest,
    bank: NDArray[np.float32],
    codes: Codes,
    *,
    squared: bool,
) -> Nearest:
    """Replace the distances of as many patches as it takes by exact ones.

    Args:
        queries: ``(q, D)``.
        bounds: what an approximate search found for them, ``(q, k)``.
        bank: ``(n, D)``.
        codes: of the bank, to pass over rows that are surely too far.
        squared: whether a patch's distance is the mean of its k squared distances.

    Returns:
        The same, but exact for the ``scanned`` patches with the largest bounds, among which is
        the patch with the largest true distance; ``bound`` is the largest of the others.
    """
    distances, rows = bounds.distances.copy(), bounds.rows.copy()
    upper = mean_distances(distances, squared=squared)
    order = np.argsort(-upper, kind="stable")
    largest, scanned = -np.inf, 0
    while scanned < len(queries) and upper[order[scanned]] > largest:
        at = order[scanned]
        distances[at], rows[at] = _exact(queries[at], bounds.distances[at], bank, codes)
        largest = max(largest, float(mean_distances(distances[[at]], squared=squared)[0]))
        scanned += 1
    bound = float(upper[order[scanned]]) if scanned < len(queries) else 0.0
    return Nearest(distances, rows, scanned, bound)


def _exact(
    query: NDArray[np.float32], found: NDArray[np.float32], bank: NDArray[np.float32], codes: Codes
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """The k nearest rows of one query, knowing k that are as near as ``found``."""
    k = len(found)
    rows = codes.within(query, float(found[-1]))
    nearest = measured(query[np.newaxis], bank, rows[np.newaxis])
    return nearest.distances[0, :k], nearest.rows[0, :k]
