"""The memory bank: a coreset of patch features, and who is near whom within it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from edge_ad.config import PatchCoreConfig
from edge_ad.coreset import greedy_coreset
from edge_ad_runtime.errors import FitError

_BLOCK_ROWS = 512
_SPARE_CANDIDATES = 8


@dataclass(frozen=True, kw_only=True, eq=False)
class Bank:
    """The memory bank M_C.

    Attributes:
        features: ``(n, D)`` float32.
        neighbours: ``(n, b)`` int32, the b bank rows nearest to each, itself counted (N_b(m*) of
            equation 7); None where equation 7 is left out.
    """

    features: NDArray[np.float32]
    neighbours: NDArray[np.int32] | None


def build_bank(
    patches: NDArray[np.float32], config: PatchCoreConfig, *, progress: bool = False
) -> Bank:
    """Select the coreset of ``(N, D)`` patches and find the neighbours within it.

    Raises:
        FitError: the coreset would be smaller than equation 7's neighbourhood.
    """
    n_select = max(1, round(len(patches) * config.coreset_fraction))
    b, k = config.scoring.reweight_neighbours, config.neighbours
    if n_select < max(b, k):
        raise FitError(
            f"the bank would hold {n_select} patches, fewer than the {max(b, k)} neighbours that "
            "scoring needs; raise coreset_fraction or add images"
        )
    if n_select == len(patches):
        rows = np.arange(n_select)
    elif config.subsampler == "random":
        rng = np.random.default_rng(config.seed)
        rows = np.sort(rng.choice(len(patches), n_select, replace=False))
    else:
        rows = greedy_coreset(patches, n_select, seed=config.seed, progress=progress)
    features = np.array(patches[rows])
    return Bank(
        features=features,
        neighbours=nearest_bank_rows(features, b, progress=progress) if b else None,
    )


def nearest_bank_rows(
    bank: NDArray[np.float32], b: int, *, progress: bool = False
) -> NDArray[np.int32]:
    """The ``b`` rows nearest to each row, nearest first, itself counted.

    A float32 matrix product proposes b + 8 candidates, their distances are then taken from the
    differences in float64: which of two almost equally near rows counts changes equation 7.

    Returns:
        ``(n, b)`` int32.
    """
    n = len(bank)
    centred = bank - bank.mean(axis=0)  # smaller norms, less cancellation
    half_sq_norms = np.einsum("nd,nd->n", centred, centred) / 2
    candidates = min(n, b + _SPARE_CANDIDATES)
    nearest = np.empty((n, b), np.int32)
    starts = range(0, n, _BLOCK_ROWS)
    for start in tqdm(starts, desc="neighbours", unit="block", disable=not progress):
        block = centred[start : start + _BLOCK_ROWS]
        farness = half_sq_norms - block @ centred.T  # (block, n)
        proposed = np.argpartition(farness, candidates - 1, axis=1)[:, :candidates]
        proposed.sort(axis=1)  # ties go to the lowest row
        for i, rows in enumerate(proposed):
            difference = centred[rows].astype(np.float64) - block[i]
            order = np.einsum("cd,cd->c", difference, difference).argsort(kind="stable")
            nearest[start + i] = rows[order[:b]]
    return nearest
