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

Distances from matrix products carry an error in proportion to the rows' norms. Should the picks
come so close that it shows (copies, tight clusters), they are summed from differences instead.

The file is long because the two metrics and the three sets share the state of one selection. None
of them can be understood, or proven to make the plain pass's picks, without the others.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial.distance import cdist
from torch import Tensor

from edge_ad_runtime.errors import ConfigError, FitError
from edge_ad_runtime.progress import ProgressBar

_ACTIVE_ROWS = 16_384  # the active rows are at least so many, and at least this share of all:
_ACTIVE_SHARE = 1 / 16  # cutting them means looking at every bound
_BLOCK_ROWS = 2_048
_TILE = (1_024, 2_048)  # rows x centres of one matrix product, 8 MB
_PRECISION = 1e-4  # largest relative error of a squared distance that picks are made by
_TAKEN = -1.0  # squared distance of a row already chosen: never the largest


def greedy_coreset(
    features: NDArray[np.floating],
    n_select: int,
    *,
    seed: int = 0,
    projection_dim: int | None = 128,
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
    if features.ndim != 2 or features.dtype not in (np.float32, np.float64):
        raise FitError(
            f"features are {features.dtype} of shape {features.shape}; (N, D) float32 or float64 "
            "are needed"
        )
    if not 1 <= n_select <= len(features):
        raise ConfigError(f"n_select is {n_select}; it must be 1 to {len(features)}")
    rng = np.random.default_rng(seed)
    first = int(rng.integers(len(features)))
    if device is None:
        device = "cuda" if torch.cuda.is_available() else "cpu"
    onto = _projection(features, projection_dim, rng)

    def differences() -> _Metric:
        return _Differences(_project(features, onto).to(device))

    exact = features.dtype == np.float64
    metric = differences() if exact else _Products(_project(features, onto, spare=1).to(device))
    with ProgressBar[None](
        total=n_select, desc="coreset", unit="patch", disable=not progress
    ) as bar:
        return _Greedy(metric, n_select, differences, bar).run(first)


def _projection(
    features: NDArray[np.floating], dim: int | None, rng: np.random.Generator
) -> Tensor | None:
    """A gaussian random projection ``(D, dim)`` that keeps squared lengths on average."""
    width = features.shape[1]
    if dim is None or dim >= width:
        return None
    matrix = rng.standard_normal((width, dim)) / np.sqrt(dim)
    return torch.from_numpy(matrix.astype(features.dtype))


def _project(features: NDArray[np.floating], onto: Tensor | None, spare: int = 0) -> Tensor:
    """``(N, D)`` features to ``(N, dim + spare)``, a piece at a time: they may be on disk.

    The spare columns are left uninitialised.
    """
    dim = features.shape[1] if onto is None else onto.shape[1]
    dtype = torch.float32 if features.dtype == np.float32 else torch.float64
    rows = torch.empty(len(features), dim + spare, dtype=dtype)
    for start in range(0, len(features), _ACTIVE_ROWS):
        part = slice(start, start + _ACTIVE_ROWS)
        piece = torch.from_numpy(np.array(features[part]))
        piece = piece if onto is None else piece @ onto
        rows[part, :dim] = piece
        if not torch.isfinite(piece.sum()):
            raise FitError("features hold NaN or infinite numbers")
    return rows


class _Metric(Protocol):
    """Squared distances between rows, which are named by their numbers."""

    rows: Tensor

    def error(self, indices: Tensor) -> Tensor:
        """About how far the squared distances of each row may be off: ``(r,)``."""

    def centres(self, indices: Tensor) -> Tensor:
        """Rows in the form that `to_nearest` and `between` take as centres."""

    def to_nearest(self, indices: Tensor, centres: Tensor) -> Tensor:
        """From each row to the nearest of ``(c, ...)`` centres: ``(r,)``."""

    def between(self, indices: Tensor, centres: Tensor) -> Tensor:
        """From each row to each centre: ``(r, c)``."""


class _Differences:
    """Summed from differences in float64: 0 between equal rows, and equal where rows tie."""

    def __init__(self, rows: Tensor) -> None:
        self.rows = rows

    def error(self, indices: Tensor) -> Tensor:
        return torch.zeros(len(indices), device=self.rows.device)

    def centres(self, indices: Tensor) -> Tensor:
        return self.rows[indices]

    def to_nearest(self, indices: Tensor, centres: Tensor) -> Tensor:
        parts = (self.between(indices, part).amin(dim=1) for part in torch.split(centres, _TILE[0]))
        return torch.stack(list(parts)).amin(dim=0)

    def between(self, indices: Tensor, centres: Tensor) -> Tensor:
        distances = cdist(self.rows[indices].cpu(), centres.cpu(), "sqeuclidean")
        return torch.from_numpy(distances).to(self.rows)  # device and dtype


class _Products:
    """float32, from matrix products: |r - c|^2 = |r|^2 - 2 (r.c - |c|^2 / 2).

    Rows carry a last column of 1 and centres one of -|c|^2 / 2, so that one product gives the
    bracket. Rows are centred first: float32 loses what the norms exceed the distances by. (On the
    median of a sample: one outlier must not move the centre.) All of it in place.
    """

    def __init__(self, rows: Tensor) -> None:
        self.rows = rows
        vectors = rows[:, :-1]
        vectors -= vectors[:: max(1, len(rows) // 4096)].median(dim=0).values
        rows[:, -1] = 1
        self._sq_norms: Tensor = torch.linalg.vector_norm(vectors, dim=1).square()
        self._tile = torch.empty(_TILE[0] * _TILE[1], device=rows.device)

    def error(self, indices: Tensor) -> Tensor:
        return torch.finfo(torch.float32).eps * self._sq_norms[indices]

    def centres(self, indices: Tensor) -> Tensor:
        centres = self.rows[indices]
        centres[..., -1] = -self._sq_norms[indices] / 2
        return centres

    def to_nearest(self, indices: Tensor, centres: Tensor) -> Tensor:
        rows = self.rows[indices]
        closeness = torch.full((len(rows),), -torch.inf, device=rows.device)
        for part in torch.split(centres, _TILE[1]):
            products = self._tile[: len(rows) * len(part)].view(len(rows), len(part))
            torch.mm(rows, part.T, out=products)
            torch.maximum(closeness, products.amax(dim=1), out=closeness)
        return (self._sq_norms[indices] - 2 * closeness).clamp_(min=0)

    def between(self, indices: Tensor, centres: Tensor) -> Tensor:
        products = torch.mm(self.rows[indices], centres.T)
        return (self._sq_norms[indices, None] - 2 * products).clamp_(min=0)


class _Greedy:
    """The state of one selection.

    Attributes:
        bounds: ``(N,)`` upper bounds of the squared distance to the chosen rows. For the chosen
            rows themselves they are `_TAKEN`.
        seen: ``(N,)`` how many of the chosen rows each bound takes into account.
        centres: ``(n_select, ...)`` the chosen rows so far.
    """

    def __init__(
        self, metric: _Metric, n_select: int, sharper: Callable[[], _Metric], bar: ProgressBar[None]
    ) -> None:
        rows = metric.rows
        self.metric = metric
        self.n_select = n_select
        self.sharper = sharper
        self.bar = bar
        self.bounds = torch.full((len(rows),), torch.inf, dtype=rows.dtype, device=rows.device)
        self.seen = torch.zeros(len(rows), dtype=torch.int32, device=rows.device)
        self.centres = torch.empty(n_select, rows.shape[1], dtype=rows.dtype, device=rows.device)
        self.chosen: list[int] = []

    def run(self, first: int) -> NDArray[np.int64]:
        """Choose all rows, beginning with ``first``."""
        everything = torch.arange(len(self.bounds), device=self.bounds.device)
        count = max(_ACTIVE_ROWS, int(len(everything) * _ACTIVE_SHARE))
        self._take(everything[first : first + 1])
        self._update(everything)
        while len(self.chosen) < self.n_select:
            active, level = _largest(self.bounds, everything, count, floor=0.0)
            if level == 0 and not self.bounds[active].any():  # only copies of chosen rows are left
                self._take(active[: self.n_select - len(self.chosen)])
            self._update(active)
            self._pick_from(active, level)
        return np.array(self.chosen, np.int64)

    def _pick_from(self, active: Tensor, level: float) -> None:
        """Pick until the farthest active row is below ``level``, the bound of all others."""
        while len(self.chosen) < self.n_select:
            bounds = self.bounds[active]
            if bounds.max() < level:
                return
            trusted = float(self.metric.error(active).max()) / _PRECISION
            if bounds.max() < trusted:
                self._sharpen()
                return
            block, block_level = _largest(bounds, active, _BLOCK_ROWS, floor=level)
            self._pick_from_block(block, max(block_level, trusted))
            self._update(active)

    def _pick_from_block(self, block: Tensor, level: float) -> None:
        """The plain pass on up-to-date rows, until the farthest is below ``level``."""
        between = self._among(block)
        bounds = self.bounds[block].cpu().numpy()
        picks: list[int] = []
        while len(self.chosen) + len(picks) < self.n_select:
            at = int(bounds.argmax())
            if bounds[at] < level:
                break
            picks.append(at)
            np.minimum(bounds, between(at), out=bounds)
            bounds[at] = _TAKEN
        self.bounds[block] = torch.from_numpy(bounds).to(self.bounds.device)
        self._take(block[picks])
        self.seen[block] = len(self.chosen)

    def _sharpen(self) -> None:
        """Go on with a sharper metric: what the bounds may be off by is added to them."""
        everything = torch.arange(len(self.bounds), device=self.bounds.device)
        error = 4 * self.metric.error(everything)
        self.bounds += torch.where(self.bounds == _TAKEN, 0, error)
        self.seen.zero_()
        self.metric = self.sharper()
        taken = torch.tensor(self.chosen, device=self.bounds.device)
        self.centres = torch.empty(
            self.n_select, self.metric.rows.shape[1], dtype=self.bounds.dtype
        ).to(self.bounds.device)
        self.centres[: len(taken)] = self.metric.centres(taken)

    def _among(self, block: Tensor) -> Callable[[int], NDArray[np.floating]]:
        """Distances from one row of the block to all of them, in one product if it is small."""
        centres = self.metric.centres(block)
        if len(block) > 4 * _BLOCK_ROWS:  # thousands of rows equally far: memory is not endless
            return lambda at: self.metric.between(block, centres[at : at + 1])[:, 0].cpu().numpy()
        every = self.metric.between(block, centres).T.contiguous().cpu().numpy()
        return lambda at: np.asarray(every[at])

    def _take(self, indices: Tensor) -> None:
        count = len(self.chosen)
        self.centres[count : count + len(indices)] = self.metric.centres(indices)
        self.bounds[indices] = _TAKEN
        self.chosen += indices.tolist()
        self.bar.update(len(indices))

    def _update(self, indices: Tensor) -> None:
        """Compare rows with the centres that each has not seen, those of like age together."""
        order = self.seen[indices].argsort()
        for part in torch.split(indices[order], _TILE[0]):
            unseen = self.centres[int(self.seen[part[0]]) : len(self.chosen)]
            if len(unseen) > 0:
                nearest = self.metric.to_nearest(part, unseen)
                self.bounds[part] = torch.minimum(self.bounds[part], nearest)
        self.seen[indices] = len(self.chosen)


def _largest(bounds: Tensor, indices: Tensor, count: int, *, floor: float) -> tuple[Tensor, float]:
    """About ``count`` of ``indices``, in order, and a level: all others are strictly below it."""
    level = floor
    if len(bounds) > count:
        level = max(floor, float(bounds.kthvalue(len(bounds) - count + 1).values))
    return indices[bounds >= level], level
