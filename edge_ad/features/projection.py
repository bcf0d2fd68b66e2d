"""The random projection that a coreset is chosen after (Johnson & Lindenstrauss)."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edge_ad_runtime.errors import FitError

DIMENSIONS = 128
"""d* of PatchCore's algorithm 1."""

_BLOCK_ROWS = 16_384


class Rows(Protocol):
    """Rows ``(N, D)`` that are read a block at a time: an array, or files."""

    @property
    def shape(self) -> tuple[int, ...]: ...  # noqa: D102

    @property
    def dtype(self) -> np.dtype[Any]: ...  # noqa: D102

    def __len__(self) -> int: ...

    def __getitem__(self, part: slice, /) -> NDArray[Any]: ...


def drawn(
    width: int, dtype: np.dtype[Any], dim: int | None, rng: np.random.Generator
) -> Tensor | None:
    """A gaussian random projection ``(width, dim)`` that keeps squared lengths on average.

    None if nothing is to be projected, because ``dim`` is None or not below ``width``.
    """
    if dim is None or dim >= width:
        return None
    matrix = rng.standard_normal((width, dim)) / np.sqrt(dim)
    return torch.from_numpy(matrix.astype(dtype))


def project(features: Rows, onto: Tensor | None, spare: int = 0) -> Tensor:
    """``(N, D)`` features to ``(N, dim + spare)``, a piece at a time: they may be on disk.

    The spare columns are left uninitialised.

    Raises:
        FitError: the features are not finite.
    """
    dim = features.shape[1] if onto is None else onto.shape[1]
    dtype = torch.float32 if features.dtype == np.float32 else torch.float64
    rows = torch.empty(len(features), dim + spare, dtype=dtype)
    for start in range(0, len(features), _BLOCK_ROWS):
        part = slice(start, start + _BLOCK_ROWS)
        piece = torch.from_numpy(np.array(features[part]))
        piece = piece if onto is None else piece @ onto
        rows[part, :dim] = piece
        if not torch.isfinite(piece.sum()):
            raise FitError("features hold NaN or infinite numbers")
    return rows
