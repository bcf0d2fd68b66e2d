"""HNSW (Malkov & Yashunin 2018) through hnswlib, with the checks that hnswlib does not make.

hnswlib answers queries of the wrong width, loads files of another dimension, forgets ``ef`` on
loading and overflows the heap on a crafted file. So the file is hashed by the caller, its header
is compared here with what the bank needs, and ``ef`` comes from the manifest.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

import hnswlib
import numpy as np
from numpy.typing import NDArray

from edge_ad_runtime.errors import ArtifactError
from edge_ad_runtime.search import Nearest, check_queries, measured
from edge_ad_runtime.search.certify import certified
from edge_ad_runtime.search.exact import ExactSearch

# hnswalg.h, saveIndex (0.8.0): six size_t, int, unsigned, three size_t, double, size_t.
_HEADER = struct.Struct("<6QiI3QdQ")
_FLOAT_BYTES = 4
_LABEL_BYTES = 8
_LINK_BYTES = 4


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
    """An index whose candidates are re-measured in float32, and the largest distance certified."""

    kind = "hnsw"

    def __init__(
        self,
        path: Path,
        bank: NDArray[np.float32],
        *,
        ef_search: int,
        squared: bool = False,
        threads: int | None = None,
    ) -> None:
        rows, dimension = bank.shape
        header = read_header(path)
        if (header.rows, header.dimension) != (rows, dimension):
            raise ArtifactError(
                f"indexes {header.rows} vectors of {header.dimension} dimensions, bank.npy holds "
                f"{rows} of {dimension}; the two come from different exports, export again",
                path=path,
            )
        self._path = path
        self._bank = bank
        self._exact = ExactSearch(bank)
        self._squared = squared
        self._threads = threads or -1
        self._index = hnswlib.Index(space="l2", dim=dimension)
        try:
            self._index.load_index(str(path))
        except RuntimeError as exc:
            raise ArtifactError(f"hnswlib refuses it: {exc}", path=path) from exc
        self._index.set_ef(ef_search)

    def nearest(self, queries: NDArray[np.float32], k: int = 1) -> Nearest:
        """See `Search.nearest`."""
        check_queries(queries, self._bank.shape[1])
        try:
            labels, _ = self._index.knn_query(queries, k=k, num_threads=self._threads)
        except RuntimeError as exc:  # it reached fewer than k rows
            raise ArtifactError(
                f"hnswlib finds no {k} neighbours: {exc}; export again with more --links",
                path=self._path,
            ) from exc
        bounds = measured(queries, self._bank, labels.astype(np.int64))
        return certified(queries, bounds, self._exact, squared=self._squared)
