"""HNSW (Malkov & Yashunin 2018) through hnswlib, with the checks that hnswlib does not make.

hnswlib answers queries of the wrong width, loads files of another dimension, forgets ``ef`` on
loading and overflows the heap on a crafted file. So the file is hashed by the caller, its header
is compared here with what the bank needs, and ``ef`` comes from the manifest.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

import hnswlib
import numpy as np
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController

from edge_ad_runtime.errors import ArtifactError
from edge_ad_runtime.manifest import SearchSettings
from edge_ad_runtime.search import Nearest, check_queries, measured
from edge_ad_runtime.search.candidates import nearest_of, with_those_around
from edge_ad_runtime.search.certify import certified
from edge_ad_runtime.search.codes import Codes
from edge_ad_runtime.search.exact import ExactSearch

# hnswalg.h, saveIndex (0.8.0): six size_t, int, unsigned, three size_t, double, size_t.
_HEADER = struct.Struct("<6QiI3QdQ")
# BLAS threads wait for more work by spinning: after a product of matrices they are in the way of
# the graph search's own threads, which on two cores takes twice as long. The limit is the whole
# process's, hence the lock.
_LIMITING_BLAS = Lock()
_FLOAT_BYTES = 4
_LABEL_BYTES = 8
_LINK_BYTES = 4
_FEWEST_IN_A_PART = 64  # queries; handing over fewer costs more than it gains


@dataclass(frozen=True)
class IndexHeader:
    """The sizes an hnswlib file claims."""

    rows: int
    dimension: int
    links: int
    ef_construction: int


def read_header(path: Path) -> IndexHeader:
    """Read an hnswlib file's header without hnswlib.

    Raises:
        ArtifactError: too short, or its sizes contradict one another.
    """
    with path.open("rb") as file:
        raw = file.read(_HEADER.size)
        size_bytes = file.seek(0, 2)
    if len(raw) < _HEADER.size:
        raise ArtifactError(f"{size_bytes} bytes is too short for an HNSW index", path=path)
    header = _HEADER.unpack(raw)
    level0, capacity, rows, row_bytes, label_at, data_at = header[:6]
    top_level, entry, max_links, max_links0, links, _, ef_construction = header[6:]
    vector_bytes = label_at - data_at
    consistent = (
        level0 == 0
        and 0 < rows <= capacity
        and data_at == _LINK_BYTES * (max_links0 + 1)
        and row_bytes == label_at + _LABEL_BYTES
        and vector_bytes > 0
        and vector_bytes % _FLOAT_BYTES == 0
        and (max_links, max_links0) == (links, 2 * links)
        and top_level >= 0
        and entry < rows
        and size_bytes >= _HEADER.size + rows * row_bytes
    )
    if not consistent:
        raise ArtifactError("its header contradicts itself; not an HNSW index of ours", path=path)
    return IndexHeader(rows, vector_bytes // _FLOAT_BYTES, links, ef_construction)


class HnswSearch:
    """HNSW over codes; candidates ranked by true distances; the largest distance certified.

    Args:
        path: ``index.hnsw``, of the codes.
        bank: ``(n, D)``.
        projection: of the codes, see `Codes`.
        settings: ``ef_search``, ``candidates`` and ``rounds``.
        grid: ``(rows, cols)``; queries that fill it are an image, and ask the patches around.
        squared: whether a patch's distance is the mean of its squared distances.
        threads: of all but the certificate; None: all cores.

    Raises:
        ArtifactError: the file is not an index of these codes.
    """

    kind = "hnsw"

    def __init__(
        self,
        path: Path,
        bank: NDArray[np.float32],
        projection: NDArray[np.float32],
        settings: SearchSettings,
        *,
        grid: tuple[int, int],
        squared: bool = False,
        threads: int | None = None,
    ) -> None:
        self._codes = Codes(projection, bank)
        rows, dimension = self._codes.rows.shape
        header = read_header(path)
        if (header.rows, header.dimension) != (rows, dimension):
            raise ArtifactError(
                f"indexes {header.rows} vectors of {header.dimension} dimensions, the bank's codes "
                f"are {rows} of {dimension}; the two come from different exports, export again",
                path=path,
            )
        self._path = path
        self._exact = ExactSearch(bank)
        self._grid = grid
        self._squared = squared
        self._threads = threads or os.cpu_count() or 1
        self._pool = ThreadPoolExecutor(self._threads)
        self._blas = ThreadpoolController()
        self._index = hnswlib.Index(space="l2", dim=dimension)
        try:
            self._index.load_index(str(path))
        except RuntimeError as exc:
            raise ArtifactError(f"hnswlib refuses it: {exc}", path=path) from exc
        self.use(settings)

    def use(self, settings: SearchSettings) -> None:
        """Search with another ``ef_search``, ``candidates`` and ``rounds`` from now on."""
        self._settings = settings
        self._index.set_ef(settings.ef_search)

    def nearest(self, queries: NDArray[np.float32], k: int = 1) -> Nearest:
        """See `Search.nearest`."""
        check_queries(queries, self._exact.bank.shape[1])
        fills_grid = len(queries) == self._grid[0] * self._grid[1]
        with _LIMITING_BLAS, self._blas.limit(limits=1, user_api="blas"):
            best = self._ask(queries, k)
            for _ in range(self._settings.rounds if fills_grid else 0):
                best = self._ask_around(queries, best, k)
            bounds = measured(queries, self._exact.bank, best)
            return certified(queries, bounds, self._exact, self._codes, squared=self._squared)

    def _ask(self, queries: NDArray[np.float32], k: int) -> NDArray[np.int64]:
        """The k nearest of what the index proposes: rows ``(q, k)``."""

        def nearest(part: slice) -> NDArray[np.int64]:
            return self._nearest_of(queries[part], self._candidates(queries[part], k), k)

        return self._in_parts(nearest, len(queries))

    def _ask_around(
        self, queries: NDArray[np.float32], best: NDArray[np.int64], k: int
    ) -> NDArray[np.int64]:
        """The k nearest of what each patch and those around it have found."""
        around = with_those_around(best, self._grid)

        def nearest(part: slice) -> NDArray[np.int64]:
            return self._nearest_of(queries[part], around[part], k)

        return self._in_parts(nearest, len(queries))

    def _in_parts(
        self, work: Callable[[slice], NDArray[np.int64]], count: int
    ) -> NDArray[np.int64]:
        """The work on ``count`` queries, a part on each thread, put together."""
        size = max(-(-count // self._threads), _FEWEST_IN_A_PART)
        parts = [slice(start, start + size) for start in range(0, count, size)]
        return np.concatenate(list(self._pool.map(work, parts)))

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
