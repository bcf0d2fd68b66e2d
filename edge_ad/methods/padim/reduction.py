"""Fewer channels: each layer is reduced on its own grid, before it is enlarged to the first one's.

Enlarging to the nearest neighbour only repeats values, so it may come after a choice of channels or
a linear map of them. Only what is kept is then enlarged.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional


class Selection(nn.Module):
    """Some of the channels.

    They keep the network's order, in whatever order they were drawn: a Mahalanobis distance does
    not depend on it.

    Args:
        counts: how many channels each layer has.
        channels: ``(d,)``, which of all layers' channels are kept, none twice.
    """

    def __init__(self, counts: Sequence[int], channels: NDArray[np.int64]) -> None:
        super().__init__()
        self.channels = nn.Buffer(torch.from_numpy(np.sort(channels)))
        ends = np.cumsum(counts)
        self.used = []  # the layers that any channel is kept of
        for j, (count, end) in enumerate(zip(counts, ends, strict=True)):
            own = self.channels[(self.channels >= end - count) & (self.channels < end)]
            if len(own):
                self.used.append(j)
                at = nn.Buffer(own - (int(end) - count), persistent=False)
                self.register_buffer(f"of_layer_{j}", at, persistent=False)

    def forward(self, maps: list[Tensor]) -> Tensor:
        """Maps ``(N, C_j, h_j, w_j)`` to ``(N, d, rows, cols)``, the grid of the first."""
        grid = maps[0].shape[-2:]
        kept = [maps[j].index_select(1, self.get_buffer(f"of_layer_{j}")) for j in self.used]
        return torch.cat([_enlarged(m, grid) for m in kept], dim=1)


class Projection(nn.Module):
    """Directions in the space of all channels, such as principal axes.

    Args:
        counts: how many channels each layer has.
        axes: ``(d, C)`` with as many columns as there are channels.
    """

    def __init__(self, counts: Sequence[int], axes: Tensor) -> None:
        super().__init__()
        self.counts = list(counts)
        self.axes = nn.Buffer(axes)

    def forward(self, maps: list[Tensor]) -> Tensor:
        """Maps ``(N, C_j, h_j, w_j)`` to ``(N, d, rows, cols)``, the grid of the first."""
        grid = maps[0].shape[-2:]
        parts = zip(maps, torch.split(self.axes, self.counts, dim=1), strict=True)
        first, *rest = (
            _enlarged(functional.conv2d(m, axes[:, :, None, None]), grid) for m, axes in parts
        )
        return sum(rest, start=first)


def draw(counts: Sequence[int], dimensions: int, seed: int) -> Selection:
    """Channels drawn without replacement, as the paper does. All of them if there are no more."""
    total = sum(counts)
    order = np.random.default_rng(seed).permutation(total)
    return Selection(counts, order[:dimensions])


def principal(
    counts: Sequence[int], embeddings: Iterable[NDArray[np.float32]], dimensions: int
) -> Projection:
    """The directions in which embeddings of all channels vary most, over positions and images.

    Args:
        counts: how many channels each layer has.
        embeddings: batches ``(n, positions, C)``.
        dimensions: how many directions.
    """
    count = sum(counts)
    number, total, products = 0, np.zeros(count), np.zeros((count, count))
    shift: NDArray[np.float64] | None = None
    for batch in embeddings:
        rows = batch.reshape(-1, count).astype(np.float64)
        if shift is None:
            shift = rows.mean(axis=0)  # less cancellation
        rows -= shift
        number += len(rows)
        total += rows.sum(axis=0)
        products += rows.T @ rows
    covariance = products / number - np.outer(total / number, total / number)
    _, vectors = np.linalg.eigh(covariance)  # the largest last
    axes = vectors[:, ::-1][:, :dimensions].T
    return Projection(counts, torch.from_numpy(np.ascontiguousarray(axes, np.float32)))


def _enlarged(maps: Tensor, grid: Sequence[int]) -> Tensor:
    if maps.shape[-2:] == grid:
        return maps
    return functional.interpolate(maps, size=tuple(grid), mode="nearest")
