"""Greedy coreset selection (PatchCore, equation 5 and algorithm 1), exact, at GEMM speed.

Minimax facility location: repeatedly take the row farthest from all rows taken so far, measured
after a random linear projection (Johnson & Lindenstrauss). The rows taken cover all the others
within at most twice the smallest possible radius (Gonzalez 1985).

The plain algorithm updates every row's distance after every pick: a matrix-*vector* product at
memory speed. Here most updates wait. A row's distance to the chosen set only ever falls, so an old
value is an upper bound, and a row whose bound is below the current pick's distance cannot be the
next pick, however old its bound. Hence three nested sets:

- *active*: the rows with the largest bounds, brought up to date by one matrix product with all
  centres that each has not seen.
- *block*: the largest of those, with all distances among them. Picks come from here, updating
  only the block, for as long as the farthest is at least as far as any bound outside it. Then the
  active rows are brought up to date, and a new block is cut.
- *all*: looked at again when the farthest active row falls below the bounds outside.

The sets are cut so that everything outside is *strictly* below them: ties go to the lowest row,
as in the plain pass, and every cut leads to at least one pick or one update.

The three sets are `edge_ad.features.greedy`, and the distances `edge_ad.features.distances`.
`edge_ad.features.sharded` makes the same choice with the rows on many machines.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from edge_ad.features.distances import Differences, Metric, Products, centre_of, centred, sampled
from edge_ad.features.greedy import Greedy
from edge_ad.features.projection import DIMENSIONS, Rows, drawn, project
from edge_ad_runtime.errors import ConfigError, FitError
from edge_ad_runtime.progress import ProgressBar


@dataclass(frozen=True, kw_only=True, eq=False)
class Selection:
    """Rows that cover all the others, and how well they do.

    Attributes:
        rows: ``(n_select,)`` int64, in the order that they were chosen.
        covering_radius: the largest distance of any row to the nearest chosen one, after the
            projection.
        least_radius: no choice of as many rows has a smaller covering radius than this. It is half
            of the smallest distance among n_select + 1 rows that greed has found far apart: two of
            them must share a centre.
    """

    rows: NDArray[np.int64]
    covering_radius: float
    least_radius: float


def greedy_coreset(
    features: NDArray[np.floating],
    n_select: int,
    *,
    seed: int = 0,
    projection_dim: int | None = DIMENSIONS,
    progress: bool = False,
    device: str | None = None,
) -> NDArray[np.int64]:
    """Rows that cover all the others, in the order that the plain greedy pass chooses them.

    In float64 the order is exactly that of the plain pass. In float32 rows that are equally far to
    within rounding may swap.

    Beside the features it keeps float32 projections of all rows and of the chosen, 4 (d* + 1) bytes
    each, and 16 bytes a row for its state. The features are read once, in order, in pieces.

    Args:
        features: ``(N, D)`` float32 or float64, finite. They may be memory-mapped.
        n_select: how many rows to take, 1 to N.
        seed: draws the first row and the projection.
        projection_dim: d* of algorithm 1. With None, or a number not below D, nothing is projected.
        progress: show a bar with the time left on stderr.
        device: where to compute, such as ``cpu`` or ``cuda``. None takes a GPU where there is one.

    Returns:
        ``(n_select,)`` int64 row numbers. Ties go to the lowest.

    Raises:
        ConfigError: ``n_select`` is not 1 to N.
        FitError: the features are not ``(N, D)`` floats, or are not finite.
    """
    greedy = _chosen(features, n_select, seed, projection_dim, progress=progress, device=device)
    return np.array(greedy.chosen, np.int64)


def greedy_selection(
    features: NDArray[np.floating], n_select: int, *, seed: int = 0, progress: bool = False
) -> Selection:
    """The rows of `greedy_coreset`, with how well they cover.

    After greedy picks no two of the chosen rows, and none of them and the farthest row that is
    left, are closer than the covering radius. So half of it is the least, and greed is within twice
    the best.
    """
    greedy = _chosen(features, n_select, seed, DIMENSIONS, progress=progress, device=None)
    radius = greedy.farthest()
    rows = np.array(greedy.chosen, np.int64)
    return Selection(rows=rows, covering_radius=radius, least_radius=radius / 2)


def check_rows(features: Rows, n_select: int) -> None:
    """Refuse what no coreset can be chosen from.

    Raises:
        ConfigError: ``n_select`` is not 1 to N.
        FitError: the features are not ``(N, D)`` floats.
    """
    if len(features.shape) != 2 or features.dtype not in (np.float32, np.float64):
        raise FitError(
            f"features are {features.dtype} of shape {features.shape}; (N, D) float32 or float64 "
            "are needed"
        )
    if not 1 <= n_select <= len(features):
        raise ConfigError(f"n_select is {n_select}; it must be 1 to {len(features)}")


def _chosen(
    features: NDArray[np.floating],
    n_select: int,
    seed: int,
    projection_dim: int | None,
    *,
    progress: bool,
    device: str | None,
) -> Greedy:
    check_rows(features, n_select)
    rng = np.random.default_rng(seed)
    first = int(rng.integers(len(features)))
    if device is None:
        device = "cuda" if torch.cuda.is_available() else "cpu"
    onto = drawn(features.shape[1], features.dtype, projection_dim, rng)

    def differences() -> Metric:
        return Differences(project(features, onto).to(device))

    def products() -> Metric:
        rows = project(features, onto, spare=1).to(device)
        return Products(centred(rows, centre_of(sampled(rows, 0, len(rows)))))

    metric = differences() if features.dtype == np.float64 else products()
    with ProgressBar[None](total=n_select, desc="coreset", unit="row", disable=not progress) as bar:
        greedy = Greedy(metric, n_select, bar)
        greedy.run(first, differences)
    return greedy
