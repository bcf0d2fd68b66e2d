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
from edge_ad_runtime.search.exact import ExactSearch

_FEW = 1 / 16  # gathering a larger part of the bank's rows costs more than the product with all
_AT_ONCE = 16  # patches that are searched together


def certified(
    queries: NDArray[np.float32],
    bounds: Nearest,
    search: ExactSearch,
    codes: Codes,
    *,
    squared: bool,
) -> Nearest:
    """Replace the distances of as many patches as it takes by exact ones.

    A patch at a time, as long as the codes rule most of the bank out. Where a patch is far from
    everything they do not, and some of the next are searched with it for hardly more.

    Args:
        queries: ``(q, D)``.
        bounds: what an approximate search found for them, ``(q, k)``.
        search: the exact search of the whole bank.
        codes: the codes of the bank, by which rows that are surely too far are passed over.
        squared: whether a patch's distance is the mean of its k squared distances.

    Returns:
        The same, but exact for the ``scanned`` patches with the largest bounds, among which is
        the patch with the largest true distance; ``bound`` is the largest of the others.
    """
    distances, rows = bounds.distances.copy(), bounds.rows.copy()
    upper = mean_distances(distances, squared=squared)
    order = np.argsort(-upper, kind="stable")
    k, largest, scanned = distances.shape[1], -np.inf, 0
    while scanned < len(queries) and upper[order[scanned]] > largest:
        part = order[scanned : scanned + 1]
        near = codes.within(queries[part[0]], float(distances[part[0], -1]))
        if len(near) <= _FEW * len(search.bank):
            exact = measured(queries[part], search.bank, near[np.newaxis])
        else:
            part = order[scanned : scanned + _AT_ONCE]
            exact = search.nearest(queries[part], k)
        distances[part], rows[part] = exact.distances[:, :k], exact.rows[:, :k]
        largest = max(largest, float(mean_distances(distances[part], squared=squared).max()))
        scanned += len(part)
    bound = float(upper[order[scanned]]) if scanned < len(queries) else 0.0
    return Nearest(distances, rows, scanned, bound)
