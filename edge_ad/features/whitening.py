"""Whitening: patch features turned and scaled so that those of good images vary alike everywhere.

A distance adds up the squares of all channels, and so is ruled by those that vary most, which is
what good parts do. After whitening it is Mahalanobis's (1936), with one covariance for all patches.
The covariance is shrunk towards a multiple of the identity (Ledoit & Wolf 2004, with a fixed
weight), so that directions in which good parts hardly vary do not become all that counts.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from edge_ad.features.moments import moments

SHRINKAGE = 0.1
_BLOCK_ROWS = 8192
_TINY = 1e-12  # images without any texture have no variance


class Whitening(nn.Module):
    """W (x - mean), a convolution of 1 x 1; a network starts with the identity."""

    def __init__(self, dimension: int) -> None:
        super().__init__()
        self.weight = nn.Buffer(torch.eye(dimension)[:, :, None, None])
        self.bias = nn.Buffer(torch.zeros(dimension))

    def forward(self, features: Tensor) -> Tensor:
        """``(N, D, rows, cols)``, to the same."""
        return functional.conv2d(features, self.weight, self.bias)


def learn_whitening(patches: NDArray[np.float32], shrinkage: float = SHRINKAGE) -> Whitening:
    """The symmetric root of the inverse covariance (ZCA): channels stay what they were.

    Args:
        patches: ``(N, D)``, of good images.
        shrinkage: s in (0, 1]; the covariance becomes (1 - s) C + s (tr C / D) I.
    """
    found = moments(patches)
    values, vectors = np.linalg.eigh(found.covariance)
    shrunk = (1 - shrinkage) * values + shrinkage * values.mean()
    matrix = (vectors / np.sqrt(np.maximum(shrunk, _TINY))) @ vectors.T
    whitening = Whitening(len(matrix))
    whitening.weight.copy_(torch.from_numpy(matrix)[:, :, None, None])
    whitening.bias.copy_(torch.from_numpy(-matrix @ found.mean))
    return whitening


def whiten_in_place(patches: NDArray[np.float32], whitening: Whitening) -> None:
    """``(N, D)`` patches, which may be on disk, as the network will give them from now on."""
    matrix, bias = whitening.weight[:, :, 0, 0].numpy(), whitening.bias.numpy()
    for start in range(0, len(patches), _BLOCK_ROWS):
        block = patches[start : start + _BLOCK_ROWS]
        patches[start : start + _BLOCK_ROWS] = block @ matrix.T + bias
