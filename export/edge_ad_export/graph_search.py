"""The exact search as part of the graph: one call of the engine gives features and nearest rows.

For targets where the graph runs on a device of its own (a GPU) and a round trip costs more than
the search. The bank is in the graph, in pieces, so that no matrix of all distances is held.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from edge_ad.features import PatchFeatures

_CHUNK_ROWS = 8192


class SearchingFeatures(nn.Module):
    """Images to ``features`` (see `PatchFeatures`) and ``rows`` ``(N, rows * cols, k)`` int64."""

    def __init__(self, network: PatchFeatures, bank: NDArray[np.float32], k: int) -> None:
        super().__init__()
        self.network = network
        self.k = k
        pieces = torch.split(torch.from_numpy(bank), _CHUNK_ROWS)
        self.chunks = nn.ParameterList(_fixed(piece.T.contiguous()) for piece in pieces)
        self.half_sq_norms = nn.ParameterList(_fixed(p.square().sum(dim=1) / 2) for p in pieces)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:  # noqa: D102
        features = self.network(image)  # (N, rows, cols, D)
        patches = features.reshape(features.shape[0], -1, features.shape[-1])  # (N, q, D)
        values, rows = self._nearest(patches, 0)
        for i in range(1, len(self.chunks)):
            more, at = self._nearest(patches, i)
            values, rows = torch.cat([values, more], dim=2), torch.cat([rows, at], dim=2)
            values, kept = values.topk(min(self.k, values.shape[2]), dim=2)
            rows = rows.gather(2, kept)
        return features, rows

    def _nearest(self, patches: Tensor, i: int) -> tuple[Tensor, Tensor]:
        """The k nearest of piece i: closeness and bank rows ``(N, q, k)``."""
        chunk = self.chunks[i]
        closeness = patches @ chunk - self.half_sq_norms[i]  # (N, q, chunk)
        values, at = closeness.topk(min(self.k, chunk.shape[1]), dim=2)
        return values, at + i * _CHUNK_ROWS


def _fixed(values: Tensor) -> nn.Parameter:
    return nn.Parameter(values, requires_grad=False)
