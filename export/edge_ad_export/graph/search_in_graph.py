"""The exact search as part of the graph: one call of the engine gives features and nearest rows.

This is for targets where the graph runs on a device of its own (a GPU) and a round trip costs more
than the search. The bank is in the graph, in pieces, so that no matrix of all distances is held.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from edge_ad_export.graph.appended import appended
from edge_ad_export.graph.onnx_graph import checked
from edge_ad_runtime.heads.patch_search import FEATURES, ROWS

_CHUNK_ROWS = 8192


def with_search(graph: bytes, bank: NDArray[np.float32], k: int) -> bytes:
    """The graph with one more output, the nearest bank rows.

    The output is ``rows``, int64 ``(N, rows * cols, k)``.

    Args:
        graph: a graph from images to ``features``, of any precision.
        bank: ``(n, D)``. The search computes in float32.
        k: how many neighbours each patch is given.
    """
    return checked(appended(graph, _BankSearch(bank, k).eval(), keep=[FEATURES]))


class _BankSearch(nn.Module):
    """Features ``(N, rows, cols, D)`` to the k nearest rows."""

    def __init__(self, bank: NDArray[np.float32], k: int) -> None:
        super().__init__()
        self.k = k
        pieces = torch.split(torch.from_numpy(bank), _CHUNK_ROWS)
        self.chunks = nn.ParameterList(_fixed(piece.T.contiguous()) for piece in pieces)
        self.half_sq_norms = nn.ParameterList(_fixed(p.square().sum(dim=1) / 2) for p in pieces)

    def forward(self, features: Tensor) -> dict[str, Tensor]:
        patches = features.reshape(features.shape[0], -1, features.shape[-1])  # (N, q, D)
        values, rows = self._nearest(patches, 0)
        for i in range(1, len(self.chunks)):
            more, at = self._nearest(patches, i)
            values, rows = torch.cat([values, more], dim=2), torch.cat([rows, at], dim=2)
            values, kept = values.topk(min(self.k, values.shape[2]), dim=2)
            rows = rows.gather(2, kept)
        return {ROWS: rows}

    def _nearest(self, patches: Tensor, i: int) -> tuple[Tensor, Tensor]:
        """The k nearest of piece i: closeness and bank rows ``(N, q, k)``."""
        chunk = self.chunks[i]
        closeness = patches @ chunk - self.half_sq_norms[i]  # (N, q, chunk)
        values, at = closeness.topk(min(self.k, chunk.shape[1]), dim=2)
        return values, at + i * _CHUNK_ROWS


def _fixed(values: Tensor) -> nn.Parameter:
    return nn.Parameter(values, requires_grad=False)
