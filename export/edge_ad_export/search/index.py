"""The HNSW index of a bank: its codes, and the file that the device loads."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import hnswlib
import numpy as np
from numpy.typing import NDArray

from edge_ad_runtime.artifact.head_records import HnswSearchRecord
from edge_ad_runtime.heads.index_files import INDEX, PROJECTION
from edge_ad_runtime.search.codes import Codes

_COVARIANCE_ROWS = 50_000


def fit_projection(bank: NDArray[np.float32], dimension: int) -> NDArray[np.float32]:
    """The bank's mean and its first principal axes, ``(dimension + 1, D)``."""
    mean = bank.mean(axis=0)
    step = -(-len(bank) // _COVARIANCE_ROWS)
    centred = (bank[::step] - mean).astype(np.float64)
    _, axes = np.linalg.eigh(centred.T @ centred)  # rising eigenvalues
    rows = np.vstack([mean, axes.T[::-1][:dimension]])
    return np.ascontiguousarray(rows, np.float32)


def build_index(
    bank: NDArray[np.float32], settings: HnswSearchRecord, seed: int, folder: Path
) -> NDArray[np.float32]:
    """Write ``projection.npy`` and ``index.hnsw``.

    One thread builds the graph, so that the same bank gives the same graph.
    """
    projection = fit_projection(bank, settings.code_dimension)
    codes = Codes(projection, bank).rows
    index = hnswlib.Index(space="l2", dim=codes.shape[1])
    index.init_index(
        max_elements=len(codes), M=settings.links, ef_construction=settings.ef_construction,
        random_seed=seed,
    )  # fmt: skip
    index.add_items(codes, np.arange(len(codes)), num_threads=1)
    index.save_index(str(folder / INDEX))  # hnswlib says nothing of a full disk
    if (folder / INDEX).stat().st_size != index.index_file_size():
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder / INDEX))
    np.save(folder / PROJECTION, projection, allow_pickle=False)
    return projection
