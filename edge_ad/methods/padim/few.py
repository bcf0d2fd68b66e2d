"""Gaussians of few images, from the products of images with one another instead of channels.

N images span N - 1 directions around their mean. ``contrasts`` turns them into as many rows Z whose
products are the scatter, Z^T Z = sum (x - mu)(x - mu)^T, so that all is in Z Z^T, (N - 1, N - 1).
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import helmert
from torch import Tensor


def contrasts(images: int) -> Tensor:
    """``(N - 1, N)`` float64 orthonormal rows that each sum to 0 (Helmert's)."""
    return torch.from_numpy(np.asarray(helmert(images), np.float64))


class Span:
    """What N images span around their mean, at each of some positions.

    Args:
        embeddings: ``(positions, N, d)`` float64.
    """

    def __init__(self, embeddings: Tensor) -> None:
        self._number = embeddings.shape[1]
        self._contrasts = contrasts(self._number)
        self._rows = self._contrasts @ embeddings  # Z, (positions, N - 1, d)
        values, self._vectors = torch.linalg.eigh(self._rows @ self._rows.mT)
        self._values = values.clamp(min=0)  # (positions, N - 1), those of the scatter

    def factors(self, epsilon: float) -> Tensor:
        """V of `edge_ad.methods.padim.gaussians`, ``(positions, N - 1, d)`` float64.

        With variances s and r = sqrt(s + epsilon), a row is sqrt((1 - sqrt(epsilon) / r) / s) times
        the direction's part of Z. The quotient is 1 / (r (r + sqrt(epsilon))), which no s of 0 can
        spoil.

        Args:
            epsilon: what is added to each variance.
        """
        r = (self._values / (self._number - 1) + epsilon).sqrt()
        weights = (r * (r + epsilon**0.5) * (self._number - 1)).rsqrt()
        factors: Tensor = weights[:, :, None] * (self._vectors.mT @ self._rows)
        return factors

    def left_out_distances(self, epsilon: float) -> NDArray[np.float32]:
        """The distance of each image from the Gaussians of all others, which are never computed.

        It is that of `edge_ad.methods.padim.many.left_out_distances`. With w the image's column of
        the contrasts, b = (N - 2) epsilon and q = w^T (Z Z^T + b I)^-1 w, its h is
        (N - 1) / N - b q, and 1 - c h is c b q, where nothing cancels.

        Args:
            epsilon: what is added to each variance. There are at least 3 images.

        Returns:
            ``(N, positions)``.
        """
        b = (self._number - 2) * epsilon
        c = self._number / (self._number - 1)
        along = (self._vectors.mT @ self._contrasts).square()  # (positions, N - 1, N)
        q = (along / (self._values + b)[:, :, None]).sum(dim=1)
        h = (1 / c - b * q).clamp(min=0)
        return np.asarray((c * h / (epsilon * q)).sqrt().T.numpy(), np.float32)
