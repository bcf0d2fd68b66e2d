"""The HNSW index of a bank: its codes, and the file that the device loads."""

from __future__ import annotations

import errno
import hashlib
import os
import tempfile
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from types import TracebackType

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


class IndexBuilder:
    """Builds indexes one after the other, beside other work.

    Building takes one processor and does not hold Python's lock. What comes before it in an export
    is torch's exporter, which holds that lock and one other processor for as long.

    Args:
        folder: where to write. What is left there at the end is removed.
    """

    def __init__(self, folder: Path) -> None:
        self._scratch = tempfile.TemporaryDirectory(dir=folder)
        self._executor = ThreadPoolExecutor(max_workers=1)
        self._builds: dict[str, Future[Path]] = {}

    def __enter__(self) -> IndexBuilder:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._executor.shutdown(cancel_futures=True)
        self._scratch.cleanup()

    def start(
        self, bank: NDArray[np.float32], settings: HnswSearchRecord, seed: int
    ) -> Future[Path]:
        """Begin to build an index that will be wanted, if it was not begun before."""
        key = _key(bank, settings, seed)
        if key not in self._builds:
            folder = Path(self._scratch.name) / str(len(self._builds))
            self._builds[key] = self._executor.submit(_built, bank, settings, seed, folder)
        return self._builds[key]

    def built(self, bank: NDArray[np.float32], settings: HnswSearchRecord, seed: int) -> Path:
        """The folder with the index. Nothing is being built any more, so that times are fair.

        Raises:
            OSError: see `build_index`.
        """
        wanted = self.start(bank, settings, seed)
        wait(self._builds.values())
        return wanted.result()


def _built(bank: NDArray[np.float32], settings: HnswSearchRecord, seed: int, folder: Path) -> Path:
    folder.mkdir()
    build_index(bank, settings, seed, folder)
    return folder


def _key(bank: NDArray[np.float32], settings: HnswSearchRecord, seed: int) -> str:
    """What an index depends on."""
    shape = (*bank.shape, settings.code_dimension, settings.links, settings.ef_construction, seed)
    return f"{shape} {hashlib.sha256(bank.tobytes()).hexdigest()}"
