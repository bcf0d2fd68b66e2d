"""What PaDiM keeps of good images: for each position a mean and a root of the inverse covariance.

With embeddings x of N images at a position (Defard et al. 2021, equations 1 and 2),

    mu = sum x / N,    S = sum (x - mu)(x - mu)^T / (N - 1) + epsilon I,
    M(x)^2 = (x - mu)^T S^-1 (x - mu) = |F (x - mu)|^2,    F^T F = S^-1.

Two roots F are kept, whichever is smaller:

- of many images F = L^-1, a lower triangle, where L L^T = S (Cholesky).
- of few F = (I - V^T V) / sqrt(epsilon), where V has N - 1 rows. This is exact, not an
  approximation: S differs from epsilon I in N - 1 directions u with variances s alone, and in those
  the symmetric root of the inverse is 1 / sqrt(s + epsilon). The rows are
  sqrt(1 - sqrt(epsilon / (s + epsilon))) u. (M^2 could be had as a difference of two squares by
  reading V once. That cancels: on an image that was learned from, with EfficientNet-Lite0, float32
  was off by 8e-3 of the largest distance, and is by 2e-5 this way.)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ad_runtime.errors import FitError


@dataclass(frozen=True, kw_only=True, eq=False)
class Gaussians:
    """A Gaussian for each position.

    Attributes:
        mean: ``(positions, d)`` float32, row-major over the grid.
        factors: ``(positions, k, d)``. With k = d they are lower triangles, float32 or float16, and
            with k < d they are V, float32.
        grid: ``(2,)`` int64, the rows and columns of positions.
    """

    mean: NDArray[np.float32]
    factors: NDArray[Any]
    grid: NDArray[np.int64]

    def __post_init__(self) -> None:
        positions, d = int(np.prod(self.grid)), self.mean.shape[-1]
        mean, factors = self.mean.shape, self.factors.shape
        fits = len(factors) == 3 and factors[::2] == mean and 1 <= factors[1] <= d
        if mean != (positions, d) or not fits:
            raise FitError(
                f"the Gaussians' means have shape {mean} and their factors {factors} on a grid of "
                f"{tuple(self.grid.tolist())}; fit again"
            )
        for name, values in (("means", self.mean), ("factors", self.factors)):
            if not np.isfinite(values).all():
                raise FitError(
                    f"the Gaussians' {name} are not finite in {values.dtype}; give a larger "
                    "--regularisation, or see whether the images or the weights are damaged"
                )

    @property
    def are_of_few(self) -> bool:
        """Whether the factors are V, and not triangles."""
        _, k, d = self.factors.shape
        return bool(k < d)


def rank_kept(images: int, dimensions: int) -> int:
    """The number k of rows that factors have.

    V is read twice for each image, the triangle's blocks once. V wins up to a third of d.

    >>> rank_kept(20, 100), rank_kept(60, 100)
    (19, 100)
    """
    return images - 1 if 3 * (images - 1) <= dimensions else dimensions
