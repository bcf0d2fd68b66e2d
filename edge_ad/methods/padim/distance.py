"""Embeddings to distances from their positions' Gaussians: the tail of the exported graph.

Nearly all of its time goes by reading the factors, 3,136 x 100 x 100 numbers with ResNet18 at
224 px. The matrices of a batch come first in every product, so that they are read once for all
images.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from edge_ad.methods.padim.gaussians import Gaussians
from edge_ad_runtime.heads.direct import ANOMALY

_LEAST_BLOCK = 48  # channels. Narrower blocks save more zeros and lose more time
_UNIT = 16  # what processors multiply at once


class Distance(nn.Module):
    """The beginning and the end that both kinds of factors share."""

    def __init__(self, gaussians: Gaussians) -> None:
        super().__init__()
        rows, cols = gaussians.grid.tolist()
        self.grid = (rows, cols)
        self.mean = nn.Buffer(torch.from_numpy(gaussians.mean)[:, None])  # (positions, 1, d)

    def forward(self, embedding: Tensor) -> dict[str, Tensor]:
        """``embedding`` ``(N, rows, cols, d)`` to ``anomaly`` ``(N, rows, cols)``."""
        positions = embedding.flatten(1, 2).transpose(0, 1)  # (positions, N, d)
        distances = self.squares(positions - self.mean).sqrt()  # (positions, N)
        return {ANOMALY: distances.transpose(0, 1).reshape(-1, *self.grid)}

    def squares(self, y: Tensor) -> Tensor:
        """|F y|^2 ``(positions, N)`` of ``(positions, N, d)``."""
        raise NotImplementedError


class TriangleDistance(Distance):
    """Lower triangles, in blocks of rows. Columns right of a block's last row are 0 and left out.

    Args:
        gaussians: what was learned of many images.
    """

    def __init__(self, gaussians: Gaussians) -> None:
        super().__init__(gaussians)
        factors = torch.from_numpy(gaussians.factors)
        edges = block_edges(factors.shape[-1])
        self.ends = edges[1:]
        self.blocks = nn.ParameterList(
            nn.Parameter(factors[:, start:end, :end].mT.contiguous(), requires_grad=False)
            for start, end in zip(edges, self.ends, strict=False)
        )

    def squares(self, y: Tensor) -> Tensor:  # noqa: D102
        blocks = zip(self.blocks, self.ends, strict=True)
        first, *rest = (_square_norms(y[:, :, :end] @ block.to(y.dtype)) for block, end in blocks)
        return sum(rest, start=first)


class SymmetricDistance(Distance):
    """(I - V^T V) / sqrt(epsilon), with V as it is.

    Args:
        gaussians: what was learned of few images.
        epsilon: what was added to each variance.
    """

    def __init__(self, gaussians: Gaussians, epsilon: float) -> None:
        super().__init__(gaussians)
        v = torch.from_numpy(gaussians.factors)
        self.inverse_epsilon = 1 / epsilon
        self.v = nn.Buffer(v)  # (positions, N - 1, d)

    def squares(self, y: Tensor) -> Tensor:  # noqa: D102
        return _square_norms(y - y @ self.v.mT @ self.v) * self.inverse_epsilon


def distance_of(gaussians: Gaussians, epsilon: float) -> Distance:
    """The module that these Gaussians need."""
    if gaussians.are_of_few:
        return SymmetricDistance(gaussians, epsilon)
    return TriangleDistance(gaussians)


def block_edges(dimensions: int) -> list[int]:
    """Where a triangle is cut: 0, multiples of 16 about evenly spaced, and ``dimensions``.

    >>> block_edges(100), block_edges(40)
    ([0, 48, 100], [0, 40])
    """
    count = max(1, dimensions // _LEAST_BLOCK)
    inner = (round(dimensions * i / count / _UNIT) * _UNIT for i in range(count))
    return [*inner, dimensions]


def _square_norms(z: Tensor) -> Tensor:
    return (z * z).sum(dim=-1)
