"""From feature maps to locally aware patch features (PatchCore, section 3.1, equations 1 to 3)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional


class MeanAggregation(nn.Module):
    """A patch is the mean over its p x p neighbourhood. Zeros beyond the border are counted."""

    def __init__(self, patch_size: int, stride: int) -> None:
        super().__init__()
        self.patch_size = patch_size
        self.stride = stride

    def forward(self, maps: list[Tensor]) -> Tensor:
        """Maps ``(N, C_j, h_j, w_j)`` to ``(N, sum of C_j, rows, cols)``."""
        p, s = self.patch_size, self.stride
        pooled = [functional.avg_pool2d(m, p, s, padding=p // 2) for m in maps]
        return torch.cat(align(pooled), dim=1)


class BinAggregation(nn.Module):
    """A patch is its flattened neighbourhoods, averaged in adaptive bins to a given length.

    patchcore-inspection flattens each layer's C_j x p x p neighbourhood, averages it in ``dim``
    adaptive bins, stacks the layers and averages the stack in ``dim`` adaptive bins again. All of
    that is linear in the neighbourhood, so per layer it is *one* convolution with fixed weights.
    It acts on channels alone, so it commutes with the bilinear alignment.
    """

    def __init__(self, channels: Sequence[int], patch_size: int, stride: int, dim: int) -> None:
        super().__init__()
        self.patch_size = patch_size
        self.stride = stride
        self.dim = dim
        stack = adaptive_bins(len(channels) * dim, dim)  # (dim, layers * dim)
        self.starts: list[int] = []
        self.kernels = nn.ParameterList()
        for j, count in enumerate(channels):
            bins = adaptive_bins(count * patch_size**2, dim)  # (dim, C p p)
            weights = stack[:, j * dim : (j + 1) * dim] @ bins
            used = np.flatnonzero(weights.any(axis=1))  # outputs that this layer contributes to
            self.starts.append(int(used[0]))
            kernel = weights[used[0] : used[-1] + 1].reshape(-1, count, patch_size, patch_size)
            self.kernels.append(nn.Parameter(torch.from_numpy(kernel), requires_grad=False))

    def forward(self, maps: list[Tensor]) -> Tensor:
        """Maps ``(N, C_j, h_j, w_j)`` to ``(N, dim, rows, cols)``."""
        p, s = self.patch_size, self.stride
        binned = [
            functional.conv2d(m, kernel, stride=s, padding=p // 2)
            for m, kernel in zip(maps, self.kernels, strict=True)
        ]
        return self._place(align(binned))

    def _place(self, layers: list[Tensor]) -> Tensor:
        """Put every layer's outputs where they belong among all ``dim``, adding where they meet."""
        ends = [s + m.shape[1] for s, m in zip(self.starts, layers, strict=True)]
        if self.starts == [0, *ends[:-1]]:
            return torch.cat(layers, dim=1)
        places = zip(self.starts, ends, layers, strict=True)
        return sum(
            (functional.pad(m, (0, 0, 0, 0, start, self.dim - end)) for start, end, m in places),
            start=torch.zeros(()),
        )


def align(maps: list[Tensor]) -> list[Tensor]:
    """Resize every map bilinearly to the first one's grid (half-pixel centres)."""
    grid = maps[0].shape[-2:]
    return [maps[0]] + [
        functional.interpolate(m, size=grid, mode="bilinear", align_corners=False) for m in maps[1:]
    ]


def adaptive_bins(length: int, count: int) -> NDArray[np.float32]:
    """Adaptive average pooling from ``length`` to ``count`` as a matrix ``(count, length)``.

    Bin i averages the inputs from floor(i length / count) to ceil((i + 1) length / count).

    >>> adaptive_bins(4, 3).tolist()
    [[0.5, 0.5, 0.0, 0.0], [0.0, 0.5, 0.5, 0.0], [0.0, 0.0, 0.5, 0.5]]
    """
    matrix = np.zeros((count, length), np.float32)
    for i in range(count):
        start, end = i * length // count, -((i + 1) * length // -count)
        matrix[i, start:end] = 1 / (end - start)
    return matrix
