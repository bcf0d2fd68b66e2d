"""The memory bank: a coreset of patch features, and who is near whom within it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from edge_ad.features.certificate import certify, of_greed
from edge_ad.features.coreset import greedy_selection
from edge_ad.methods.patchcore.proxies import learn_proxies
from edge_ad.methods.patchcore.settings import PatchCoreConfig
from edge_ad_runtime.artifact.head_records import Certificate
from edge_ad_runtime.errors import ExportError, FitError
from edge_ad_runtime.progress import ProgressBar
from edge_ad_runtime.search.exact import ExactSearch

_BLOCK_ROWS = 512
_SPARE_CANDIDATES = 8


@dataclass(frozen=True, kw_only=True, eq=False)
class Bank:
    """The memory bank M_C.

    Attributes:
        features: ``(n, D)`` float32, one row for each patch of the bank.
        neighbours: ``(n, b)`` int32, the b bank rows nearest to each row, which counts itself
            (N_b(m*) of equation 7). It is None where equation 7 is left out.
        grid: ``(2,)`` int64, the rows and columns of the features of an image.
        images: ``(n,)`` int32, the number of the image that each row is from. It is None where rows
            are made up of many.
    """

    features: NDArray[np.float32]
    neighbours: NDArray[np.int32] | None
    grid: NDArray[np.int64]
    images: NDArray[np.int32] | None = None

    def in_half(self) -> Bank:
        """The same bank, its rows rounded to what half precision holds exactly.

        Raises:
            ExportError: a feature is too large for half precision.
        """
        with np.errstate(over="ignore"):  # infinite ones are found below
            rounded = self.features.astype(np.float16).astype(np.float32)
        if not np.isfinite(rounded).all():
            raise ExportError("the bank holds features above 65504; export with float32 rows")
        return replace(self, features=rounded)


def build_bank(
    features: NDArray[np.float32], config: PatchCoreConfig, *, progress: bool = False
) -> tuple[Bank, Certificate]:
    """Select the coreset of all patches of ``(N, rows, cols, D)``, and the neighbours within it.

    The certificate says how well the bank covers all patches.

    Beside the patches it needs the memory of `greedy_coreset`, and after that twice the bank's.

    Raises:
        FitError: the coreset would be smaller than equation 7's neighbourhood.
    """
    patches = features.reshape(-1, features.shape[-1])
    n_select = bank_rows(len(patches), config)
    chosen, rows, certificate = _subsample(patches, n_select, config, progress=progress)
    grid = features.shape[1:3]
    images = None if rows is None else rows // (grid[0] * grid[1])
    return bank_of(chosen, grid, config, images=images, progress=progress), certificate


def bank_rows(patches: int, config: PatchCoreConfig) -> int:
    """How many of so many patches are kept.

    Raises:
        FitError: they are fewer than equation 7's neighbourhood.
    """
    n_select = max(1, round(patches * config.coreset_fraction))
    needed = max(config.scoring.reweight_neighbours or 0, config.neighbours)
    if n_select < needed:
        raise FitError(
            f"the bank would hold {n_select} patches, fewer than the {needed} neighbours that "
            "scoring needs; raise coreset_fraction or add images"
        )
    return n_select


def bank_of(
    chosen: NDArray[np.float32],
    grid: Sequence[int],
    config: PatchCoreConfig,
    *,
    images: NDArray[np.int64] | None = None,
    progress: bool = False,
) -> Bank:
    """The bank of patches ``(n, D)`` that were chosen, on a grid of rows and columns.

    ``images`` are the numbers ``(n,)`` of those that they are from, if they are.
    """
    b = config.scoring.reweight_neighbours or 0
    return Bank(
        features=chosen,
        neighbours=nearest_bank_rows(chosen, b, progress=progress) if b else None,
        grid=np.array(grid),
        images=None if images is None else images.astype(np.int32),
    )


def _subsample(
    patches: NDArray[np.float32], count: int, config: PatchCoreConfig, *, progress: bool
) -> tuple[NDArray[np.float32], NDArray[np.int64] | None, Certificate]:
    """``count`` of the patches ``(count, D)``, with their numbers, or as many learned proxies."""
    width = patches.shape[1]
    if count == len(patches):
        perfect = Certificate(covering_radius=0.0, least_radius=0.0, dimensions=width)
        return np.array(patches), np.arange(count), perfect
    if config.subsampler == "greedy":
        selection = greedy_selection(patches, count, seed=config.seed, progress=progress)
        chosen = rows_of(patches, selection.rows)
        return chosen, selection.rows, of_greed(selection, width)
    if config.subsampler == "proxies":
        rows, chosen = None, learn_proxies(patches, count, seed=config.seed, progress=progress)
    else:
        rng = np.random.default_rng(config.seed)
        rows = np.sort(rng.choice(len(patches), count, replace=False))
        chosen = np.array(patches[rows])
    return chosen, rows, certify(patches, chosen, seed=config.seed)


def rows_of(patches: NDArray[np.float32], rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """Some of the patches, which may be on disk: they are read from front to back."""
    chosen = np.empty((len(rows), patches.shape[1]), np.float32)
    order = rows.argsort()
    chosen[order] = patches[rows[order]]
    return chosen


def nearest_bank_rows(
    bank: NDArray[np.float32], b: int, *, progress: bool = False
) -> NDArray[np.int32]:
    """The ``b`` rows nearest to each row, nearest first. A row counts as its own neighbour.

    The exact search proposes b + 8 candidates. Their distances are then taken from the differences
    in float64, because which of two almost equally near rows counts changes equation 7.

    Returns:
        ``(n, b)`` int32.
    """
    n = len(bank)
    mean = bank.mean(axis=0)
    search = ExactSearch(bank - mean)  # smaller norms, less cancellation
    candidates = min(n, b + _SPARE_CANDIDATES)
    nearest = np.empty((n, b), np.int32)
    starts = range(0, n, _BLOCK_ROWS)
    for start in ProgressBar(starts, desc="neighbours", unit="block", disable=not progress):
        block = bank[start : start + _BLOCK_ROWS]
        proposed = search.nearest(block - mean, candidates).rows  # (block, candidates)
        proposed.sort(axis=1)  # ties go to the lowest row
        difference = bank[proposed].astype(np.float64) - block[:, np.newaxis]
        sq_distances = np.einsum("qcd,qcd->qc", difference, difference)
        order = sq_distances.argsort(axis=1, kind="stable")[:, :b]
        nearest[start : start + _BLOCK_ROWS] = np.take_along_axis(proposed, order, axis=1)
    return nearest
