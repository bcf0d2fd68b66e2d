"""The files of an approximate search, for every head that has one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge_ad_runtime.artifact.head_records import HnswSearchRecord
from edge_ad_runtime.artifact.npy import Shaped
from edge_ad_runtime.heads import HeadFiles, Opening
from edge_ad_runtime.search import Search

INDEX = "index.hnsw"
PROJECTION = "projection.npy"


def open_index(
    record: HnswSearchRecord,
    rows: NDArray[np.float32],
    files: HeadFiles,
    opening: Opening,
    *,
    grid: tuple[int, int],
    squared: bool = False,
) -> Search:
    """Load the index of some rows.

    Args:
        record: what the manifest says of the search.
        rows: ``(n, D)``, what is searched.
        files: where the index and its projection are.
        opening: what the head is opened for.
        grid: the ``(rows, cols)`` of the queries that come together.
        squared: whether distances are squared L2 instead of L2.

    Raises:
        ArtifactError: a file is missing, damaged or another artifact's.
    """
    from edge_ad_runtime.search.hnsw import HnswSearch

    shape = (record.code_dimension + 1, rows.shape[1])
    return HnswSearch(
        files.read(INDEX),
        rows,
        files.array(PROJECTION, Shaped(np.float32, shape)).astype(np.float32, copy=False),
        record,
        path=files.path(INDEX),
        grid=grid,
        squared=squared,
        threads=opening.threads,
    )
