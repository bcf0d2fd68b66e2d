"""Greedy coreset selection (PatchCore, equation 5 and algorithm 1).

Minimax facility location: repeatedly take the row farthest from all rows taken so far, measured
after a random linear projection (Johnson & Lindenstrauss). The result covers every row within the
smallest radius that a greedy choice can promise (at most twice the optimum; Gonzalez 1985).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from edge_ad_runtime.errors import ConfigError, FitError


def greedy_coreset(
    features: NDArray[np.floating],
    n_select: int,
    *,
    seed: int = 0,
    projection_dim: int | None = 128,
    progress: bool = False,
) -> NDArray[np.int64]:
    """Rows that cover all the others, in the order chosen.

    Args:
        features: ``(N, D)`` float32 or float64, finite.
        n_select: how many rows to take, 1 to N.
        seed: of the first row and of the projection.
        projection_dim: d* of algorithm 1; None, or not below D: no projection.
        progress: show a bar on stderr.

    Returns:
        ``(n_select,)`` int64 row numbers; ties go to the lowest.

    Raises:
        ConfigError: ``n_select`` is not 1 to N.
        FitError: not ``(N, D)`` floats, or not finite.
    """
    if features.ndim != 2 or features.dtype not in (np.float32, np.float64):
        raise FitError(
            f"features are {features.dtype} of shape {features.shape}; (N, D) float32 or float64 "
            "are needed"
        )
    if not 1 <= n_select <= len(features):
        raise ConfigError(f"n_select is {n_select}; it must be 1 to {len(features)}")
    if not np.isfinite(features).all():
        raise FitError("features hold NaN or infinite numbers")
    rng = np.random.default_rng(seed)
    first = int(rng.integers(len(features)))
    return _plain_greedy(_project(features, projection_dim, rng), first, n_select, progress)


def _project(
    features: NDArray[np.floating], dim: int | None, rng: np.random.Generator
) -> NDArray[np.floating]:
    """A gaussian random projection that keeps squared lengths on average."""
    width = features.shape[1]
    if dim is None or dim >= width:
        return features
    matrix = rng.standard_normal((width, dim)) / np.sqrt(dim)
    return np.asarray(features @ matrix.astype(features.dtype))  # (N, dim)


def _plain_greedy(
    rows: NDArray[np.floating], first: int, n_select: int, progress: bool
) -> NDArray[np.int64]:
    """Algorithm 1, one full pass over the rows per pick."""
    sq_norms = np.einsum("nd,nd->n", rows, rows)
    sq_distances = np.full(len(rows), np.inf, rows.dtype)
    chosen = np.empty(n_select, np.int64)
    pick = first
    for i in tqdm(range(n_select), desc="coreset", unit="patch", disable=not progress):
        chosen[i] = pick
        to_pick = sq_norms + sq_norms[pick] - 2 * (rows @ rows[pick])  # (N,)
        np.minimum(sq_distances, to_pick, out=sq_distances)
        sq_distances[pick] = -np.inf  # never again, even among duplicates
        pick = int(sq_distances.argmax())
    return chosen
