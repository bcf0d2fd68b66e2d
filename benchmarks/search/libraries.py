"""Other libraries' indexes as they come, over the rows of a bank."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import Any

import hnswlib
import numpy as np
from numpy.typing import NDArray

from benchmarks.search.features import FloatArray

EF = (16, 64, 256)

Find = Callable[[FloatArray], NDArray[np.int64]]
"""Queries ``(q, D)`` to the nearest row of each."""
Built = Iterator[tuple[str, Find, int]]
"""Label, how it finds, bytes."""


def faiss_flat(bank: FloatArray) -> Built:
    import faiss

    index: Any = faiss.IndexFlatL2(bank.shape[1])
    index.add(bank)
    yield "faiss flat", lambda queries: index.search(queries, 1)[1][:, 0], bank.nbytes


def hnswlib_as_it_comes(bank: FloatArray) -> Built:
    index = hnswlib.Index(space="l2", dim=bank.shape[1])
    index.init_index(max_elements=len(bank), M=16, ef_construction=200, random_seed=0)
    index.add_items(bank, num_threads=2)
    size = index.index_file_size()
    for ef in EF:

        def find(queries: FloatArray, ef: int = ef) -> NDArray[np.int64]:
            index.set_ef(ef)
            return np.asarray(index.knn_query(queries, k=1)[0][:, 0], np.int64)

        yield f"hnswlib ef {ef}", find, size


def usearch_as_it_comes(bank: FloatArray) -> Built:
    from usearch.index import Index

    for dtype in ("f32", "f16"):
        index: Any = Index(ndim=bank.shape[1], metric="l2sq", dtype=dtype, connectivity=16)
        index.add(np.arange(len(bank)), bank, threads=2)
        for ef in EF:

            def find(queries: FloatArray, index: Any = index, ef: int = ef) -> NDArray[np.int64]:
                index.expansion_search = ef
                return np.asarray(index.search(queries, 1, threads=2).keys, np.int64).ravel()

            yield f"usearch {dtype} ef {ef}", find, index.serialized_length


def voyager_as_it_comes(bank: FloatArray) -> Built:
    import voyager

    index = voyager.Index(voyager.Space.Euclidean, num_dimensions=bank.shape[1], M=16)
    index.add_items(bank, num_threads=2)
    for ef in EF:

        def find(queries: FloatArray, ef: int = ef) -> NDArray[np.int64]:
            found, _ = index.query(queries, k=1, num_threads=2, query_ef=ef)
            return np.asarray(found[:, 0], np.int64)

        yield f"voyager ef {ef}", find, len(index.as_bytes())


BUILDERS: dict[str, Callable[[FloatArray], Built]] = {
    "faiss": faiss_flat,
    "hnswlib": hnswlib_as_it_comes,
    "usearch": usearch_as_it_comes,
    "voyager": voyager_as_it_comes,
}


def installed() -> list[Callable[[FloatArray], Built]]:
    """What builds the indexes of those libraries that are there."""
    return [build for name, build in BUILDERS.items() if find_spec(name) is not None]
