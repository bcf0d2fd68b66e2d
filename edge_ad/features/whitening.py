"""Whitening: patch features turned and scaled so that those of good images vary alike everywhere.

A distance adds up the squares of all channels, so it is ruled by the channels that vary most, even
where that is how good parts vary. After whitening it is Mahalanobis's distance (1936), with one
covariance for all patches. The covariance is shrunk towards a multiple of the identity (Ledoit &
Wolf 2004, with a fixed weight), so that directions in which good parts hardly vary do not become
all that counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from edge_ad.features.moments import Moments, moments
from edge_ad.features.projection import Rows

SHRINKAGE = 0.1
_BLOCK_ROWS = 8192
_TINY = 1e-12  # images without any texture have no variance


class Whitening(nn.Module):
    """W (x - mean), computed as a 1 x 1 convolution. It starts as the identity."""

    def __init__(self, dimension: int) -> None:
        super().__init__()
        self.weight = nn.Buffer(torch.eye(dimension)[:, :, None, None])
        self.bias = nn.Buffer(torch.zeros(dimension))

    def forward(self, features: Tensor) -> Tensor:
        """Features ``(N, D, rows, cols)`` to whitened ones of the same shape."""
        return functional.conv2d(features, self.weight, self.bias)


def learn_whitening(patches: NDArray[np.float32], shrinkage: float = SHRINKAGE) -> Whitening:
    """The whitening of ``(N, D)`` patches of good images. See `whitening_of`."""
    return whitening_of(moments(patches), shrinkage)


def whitening_of(found: Moments, shrinkage: float = SHRINKAGE) -> Whitening:
    """Whitening by the symmetric root of the inverse covariance (ZCA): channels keep their meaning.

    Args:
        found: the moments of the patches of good images.
        shrinkage: s in (0, 1]. The covariance becomes (1 - s) C + s (tr C / D) I.
    """
    values, vectors = np.linalg.eigh(found.covariance)
    shrunk = (1 - shrinkage) * values + shrinkage * values.mean()
    matrix = (vectors / np.sqrt(np.maximum(shrunk, _TINY))) @ vectors.T
    whitening = Whitening(len(matrix))
    whitening.weight.copy_(torch.from_numpy(matrix)[:, :, None, None])
    whitening.bias.copy_(torch.from_numpy(-matrix @ found.mean))
    return whitening


def whiten(block: NDArray[np.float32], whitening: Whitening | None) -> NDArray[np.float32]:
    """Patches ``(n, D)`` as the network gives them from now on. Without whitening, as they are."""
    if whitening is None:
        return block
    matrix, bias = whitening.weight[:, :, 0, 0].numpy(), whitening.bias.numpy()
    return np.asarray(block @ matrix.T + bias)


def whiten_in_place(patches: NDArray[np.float32], whitening: Whitening) -> None:
    """Whiten ``(N, D)`` patches, which may be on disk, as the network will from now on."""
    for start in range(0, len(patches), _BLOCK_ROWS):
        part = slice(start, start + _BLOCK_ROWS)
        patches[part] = whiten(patches[part], whitening)


@dataclass(frozen=True)
class WhitenedRows:
    """Rows that are whitened when they are read: see `edge_ad.features.projection.Rows`."""

    rows: Rows
    whitening: Whitening | None

    @property
    def shape(self) -> tuple[int, ...]:
        """``(N, D)``."""
        return self.rows.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of the numbers."""
        return self.rows.dtype

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, part: slice, /) -> NDArray[np.float32]:
        return whiten(self.rows[part], self.whitening)
