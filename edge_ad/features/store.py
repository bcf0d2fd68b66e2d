"""Features of many images: in memory, or in a scratch file if there are too many."""

from __future__ import annotations

import math
import os
import shutil
import tempfile
from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from edge_ad.images.good import GoodImages
from edge_ad.networks.run import Run
from edge_ad_runtime.errors import FitError
from edge_ad_runtime.heads.patch_search import FEATURES
from edge_ad_runtime.progress import ProgressBar

_IN_MEMORY_BYTES = 2_000_000_000

_Number = TypeVar("_Number", bound=np.generic)


def features_of(run: Run, images: GoodImages, *, progress: bool) -> NDArray[np.float32]:
    """Features ``(N, rows, cols, D)`` of images, which are read one batch at a time.

    What training has left for ``run`` is taken instead of being computed again. Features above
    `_IN_MEMORY_BYTES` are in a scratch file of the temporary folder (TMPDIR). The file has no name,
    so it is gone with the process, however that ends.

    Raises:
        FitError: the scratch file would not fit on its disk.
    """
    features: NDArray[np.float32] | None = images.take(run)
    if features is not None:
        return features
    with ProgressBar[None](
        total=len(images), desc="features", unit="image", disable=not progress
    ) as bar:
        for start, batch in images.batches():
            values = run(batch)[FEATURES]
            if features is None:
                features = allocate((len(images), *values.shape[1:]))
            features[start : start + len(values)] = values
            bar.update(len(values))
    assert features is not None, "callers give at least one image"
    return features


def allocate(shape: tuple[int, ...], dtype: type[np.floating[Any]] = np.float32) -> NDArray[Any]:
    """An array in memory, or in an unnamed scratch file if it is large.

    Raises:
        FitError: the scratch file would not fit on its disk.
    """
    size_bytes = np.dtype(dtype).itemsize * math.prod(shape)
    if size_bytes <= _IN_MEMORY_BYTES:
        return np.empty(shape, dtype)
    folder = tempfile.gettempdir()
    free_bytes = shutil.disk_usage(folder).free
    if size_bytes > free_bytes:
        raise FitError(
            f"the features need {size_bytes / 1e9:.1f} GB of scratch space, {folder} has "
            f"{free_bytes / 1e9:.1f} GB; set TMPDIR to a larger disk, or use fewer images"
        )
    with tempfile.TemporaryFile(dir=folder) as file:  # the mapping keeps it alive
        try:
            os.posix_fallocate(file.fileno(), 0, size_bytes)  # a disk that fills up later is SIGBUS
        except OSError as exc:
            raise FitError(
                f"{folder}: {size_bytes / 1e9:.1f} GB of scratch space cannot be had: "
                f"{exc.strerror}; set TMPDIR to another disk"
            ) from exc
        return np.memmap(file, dtype, mode="r+", shape=shape)


def only_rows(values: NDArray[_Number], rows: Sequence[int]) -> NDArray[_Number]:
    """Some rows of an array, which are moved to its front: it may fill a disk.

    Args:
        values: ``(N, ...)``. What is not among the rows is overwritten.
        rows: rising numbers.
    """
    for to, row in enumerate(rows):
        if to != row:
            values[to] = values[row]
    return values[: len(rows)]
