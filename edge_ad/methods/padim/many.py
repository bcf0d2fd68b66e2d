"""Gaussians of many images, from sums that are added up image by image in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg.lapack import dpotrf, dtrtri
from torch import Tensor

from edge_ad_runtime.errors import FitError


class Sums:
    """What is added up of some positions' embeddings. Memory does not grow with the images.

    Args:
        first: ``(positions, d)``, the first image's embeddings. All are taken relative to them, so
            that little cancels.
    """

    def __init__(self, first: NDArray[np.float32]) -> None:
        self._shift = torch.from_numpy(first.astype(np.float64))
        positions, d = first.shape
        self._total = torch.zeros((positions, d), dtype=torch.float64)
        self._products = torch.zeros((positions, d, d), dtype=torch.float64)
        self._number = 0

    def add(self, batch: NDArray[np.float32]) -> None:
        """Add images, ``(n, positions, d)``."""
        y = torch.from_numpy(batch.astype(np.float64)) - self._shift
        self._total += y.sum(dim=0)
        self._products.baddbmm_(y.permute(1, 2, 0), y.permute(1, 0, 2))
        self._number += len(batch)

    def merge(self, other: Sums) -> None:
        """Add the sums of other images, which are relative to the same first one."""
        self._total += other._total
        self._products += other._products
        self._number += other._number

    def mean(self) -> Tensor:
        """``(positions, d)`` float64."""
        return self._shift + self._total / self._number

    def scatter(self) -> Tensor:
        """``(positions, d, d)`` float64, the sums of (x - mu)(x - mu)^T. To be called once."""
        total = self._total[:, :, None]
        return self._products.baddbmm_(total, total.mT, alpha=-1 / self._number)


def inverse_roots(
    scatter: NDArray[np.float64], divisor: float, added: float, out: NDArray[Any]
) -> None:
    """Lower triangles F with F^T F = (scatter / divisor + added I)^-1.

    Args:
        scatter: ``(positions, d, d)`` float64.
        divisor: what the sums are divided by.
        added: what is added to the diagonal.
        out: where the triangles are put, of the scatter's shape. It may be the scatter itself.

    Raises:
        FitError: a matrix has no root in float64.

    LAPACK is called for each position, as torch's functions for many matrices take thrice as long.
    """
    diagonal = added * np.eye(scatter.shape[-1])
    for position, products in enumerate(scatter):
        lower, failed = dpotrf(products / divisor + diagonal, lower=1, clean=1)
        if failed:
            raise FitError(
                f"the covariance of position {position} cannot be inverted; give a larger "
                "--regularisation"
            )
        root, _ = dtrtri(lower, lower=1)
        with np.errstate(over="ignore"):  # whoever gave half precision looks for infinite ones
            out[position] = root


def left_out_distances(
    batch: NDArray[np.float32], mean: Tensor, roots: Tensor, images: int
) -> NDArray[np.float32]:
    """The distance of each image from the Gaussians of all others, which are never computed.

    Without image i the scatter A is A - c y y^T with y = x_i - mu and c = N / (N - 1), and its
    embedding is c y away from the mean. So by Sherman and Morrison (1950), with
    B = A + (N - 2) epsilon I and h = y^T B^-1 y,

        M_i^2 = c^2 (N - 2) h / (1 - c h).

    Args:
        batch: ``(n, positions, d)`` embeddings of images that were learned from.
        mean: ``(positions, d)``, mu of all images.
        roots: ``(positions, d, d)``, lower triangles F with F^T F = B^-1.
        images: N, at least 3.

    Returns:
        ``(n, positions)``.
    """
    y = (torch.from_numpy(batch.astype(np.float64)) - mean).permute(1, 0, 2)  # (positions, n, d)
    h = (y @ roots.mT).square().sum(dim=-1).T  # (n, positions)
    c = images / (images - 1)
    squares = c**2 * (images - 2) * h / (1 - c * h)
    return np.asarray(squares.sqrt().numpy(), np.float32)
