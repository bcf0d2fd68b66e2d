"""HNSW (Malkov & Yashunin 2018) through hnswlib, with the checks that hnswlib does not make.

hnswlib answers queries of the wrong width, loads files of another dimension, forgets ``ef`` on
loading and reads beyond its memory on a crafted file. So the file is hashed by the caller, checked
from end to end by `read_vectors`, and ``ef`` comes from the manifest.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import hnswlib
import numpy as np
from numpy.typing import NDArray

from edge_ad_runtime.artifact.head_records import HnswSearchRecord
from edge_ad_runtime.errors import ArtifactError
from edge_ad_runtime.search import Nearest, check_queries, measured
from edge_ad_runtime.search.blas import BLAS_ON_ONE_THREAD
from edge_ad_runtime.search.candidates import nearest_of, with_those_around
from edge_ad_runtime.search.certify import certified
from edge_ad_runtime.search.codes import Codes
from edge_ad_runtime.search.exact import ExactSearch
from edge_ad_runtime.search.index_file import Content, read_vectors

_FEWEST_IN_A_PART = 64  # handing over fewer queries costs more than it gains


class HnswSearch:
    """HNSW over codes.

    Its candidates are ranked by their true distances, and the largest distance is certified.

    Args:
        content: the bytes of ``index.hnsw``, the index of the codes.
        path: where these bytes are from, for messages.
        bank: ``(n, D)``.
        projection: the projection of the codes, see `Codes`.
        settings: has ``ef_search``, ``candidates`` and ``rounds``.
        grid: ``(rows, cols)``. Queries that fill it are an image, and ask the patches around.
        squared: whether a patch's distance is the mean of its squared distances.
        threads: the number of threads of all but the certificate. None means all cores.

    Raises:
        ArtifactError: the file is not an index of these codes, or its vectors are no codes of the
            bank.
    """

    kind = "hnsw"

    def __init__(
        self,
        content: Content,
        bank: NDArray[np.float32],
        projection: NDArray[np.float32],
        settings: HnswSearchRecord,
        *,
        path: Path,
        grid: tuple[int, int],
        squared: bool = False,
        threads: int | None = None,
    ) -> None:
        try:
            self._codes = Codes(projection, bank, read_vectors(content))
        except ValueError as exc:
            raise ArtifactError(f"{exc}; export again", path=path) from exc
        self._path = path
        self._exact = ExactSearch(bank)
        self._grid = grid
        self._squared = squared
        self._threads = threads or os.cpu_count() or 1
        self._helpers = ThreadPoolExecutor(max(self._threads - 1, 1))
        self._index = hnswlib.Index(space="l2", dim=self._codes.rows.shape[1])
        try:
            _load(self._index, content)
        except (RuntimeError, OSError) as exc:
            raise ArtifactError(f"hnswlib refuses it: {exc}", path=path) from exc
        self.use(settings)

    def use(self, settings: HnswSearchRecord) -> None:
        """Search with another ``ef_search``, ``candidates`` and ``rounds`` from now on."""
        self._settings = settings
        self._index.set_ef(settings.ef_search)

    def nearest(self, queries: NDArray[np.float32], k: int = 1) -> Nearest:
        """See `Search.nearest`."""
        check_queries(queries, self._exact.bank.shape[1])
        fills_grid = len(queries) == self._grid[0] * self._grid[1]
        with BLAS_ON_ONE_THREAD:
            best = self._ask(queries, k)
            for _ in range(self._settings.rounds if fills_grid else 0):
                best = self._ask_around(queries, best, k)
            bounds = measured(queries, self._exact.bank, best)
            return certified(queries, bounds, self._exact, self._codes, squared=self._squared)

    def close(self) -> None:
        """See `Search.close`."""
        self._helpers.shutdown()

    def _ask(self, queries: NDArray[np.float32], k: int) -> NDArray[np.int64]:
        """The k nearest of the rows that the index proposes, ``(q, k)``."""

        def nearest(part: slice) -> NDArray[np.int64]:
            return self._nearest_of(queries[part], self._candidates(queries[part], k), k)

        return self._in_parts(nearest, len(queries))

    def _ask_around(
        self, queries: NDArray[np.float32], best: NDArray[np.int64], k: int
    ) -> NDArray[np.int64]:
        """The k nearest of the rows that each patch and those around it have found."""
        around = with_those_around(best, self._grid)

        def nearest(part: slice) -> NDArray[np.int64]:
            return self._nearest_of(queries[part], around[part], k)

        return self._in_parts(nearest, len(queries))

    def _in_parts(
        self, work: Callable[[slice], NDArray[np.int64]], count: int
    ) -> NDArray[np.int64]:
        """Do the work on ``count`` queries, a part on each thread, and put the parts together.

        The calling thread takes the first part. If it only waited, the system would often start two
        helpers on the core that it has just left, one after the other.
        """
        size = max(-(-count // self._threads), _FEWEST_IN_A_PART)
        first, *others = [slice(start, start + size) for start in range(0, count, size)]
        helped = [self._helpers.submit(work, part) for part in others]
        return np.concatenate([work(first), *(part.result() for part in helped)])

    def _candidates(self, queries: NDArray[np.float32], k: int) -> NDArray[np.int64]:
        count = min(max(k, self._settings.candidates), len(self._exact.bank))
        try:
            labels, _ = self._index.knn_query(self._codes.encode(queries), k=count, num_threads=1)
        except RuntimeError as exc:  # it reached too few rows
            raise ArtifactError(
                f"hnswlib finds no {count} neighbours: {exc}; export again with more --links",
                path=self._path,
            ) from exc
        return np.asarray(labels, np.int64)

    def _nearest_of(
        self, queries: NDArray[np.float32], candidates: NDArray[np.int64], k: int
    ) -> NDArray[np.int64]:
        return nearest_of(queries, candidates, k, self._exact.bank, self._exact.half_sq_norms)


def _load(index: hnswlib.Index, content: Content) -> None:
    """Have hnswlib read the very bytes that were checked.

    hnswlib only takes a file's name, and the file of that name may change.

    Raises:
        RuntimeError: hnswlib refuses them.
        OSError: there is no memory for another copy.
    """
    descriptor = os.memfd_create("index.hnsw")
    with open(descriptor, "wb") as file:  # noqa: PTH123  # of a descriptor
        file.write(content.data)
        file.flush()
        index.load_index(f"/proc/self/fd/{descriptor}")
