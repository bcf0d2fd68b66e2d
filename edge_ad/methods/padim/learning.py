"""Gaussians of good images, and how far each image is from those of all others."""

from __future__ import annotations

import os

import numpy as np
import torch
from numpy.typing import NDArray

from edge_ad.methods.padim import few, many
from edge_ad.methods.padim.gaussians import Gaussians, rank_kept
from edge_ad.methods.padim.passes import Passes
from edge_ad.methods.padim.settings import PadimConfig
from edge_ad_runtime.errors import FitError

LEAST_IMAGES = 2  # for a covariance
LEAST_TO_LEAVE_OUT = 3  # for the covariance of all but one

_BAND_BYTES = 1_000_000_000  # of float64, for positions that are learned at once


def learn(
    passes: Passes, settings: PadimConfig, *, leave_out: bool
) -> tuple[Gaussians, NDArray[np.float32] | None]:
    """The Gaussians, and with ``leave_out`` for each image its distances from all others'.

    Returns:
        The Gaussians, and ``(N, positions)``, or None if no image was left out.

    Raises:
        FitError: there are too few images, they need more memory than there is, or embeddings are
            not finite.
    """
    number = len(passes)
    if number < LEAST_IMAGES:
        raise FitError(
            f"{number} good image to learn from; PaDiM needs at least {LEAST_IMAGES} for a "
            "covariance, and 50 or more are wise"
        )
    rows, cols, d = passes.shape()
    positions, k = rows * cols, rank_kept(number, d)
    _check_memory(positions, k, d)
    mean = np.empty((positions, d), np.float32)
    # V does not bear half precision: what it leaves of an embedding is a small difference
    precision = settings.factor_precision if k == d else "float32"
    factors = np.empty((positions, k, d), precision)
    left_out = np.empty((number, positions), np.float32) if leave_out else None
    learn_band = _learn_many if k == d else _learn_few
    held = d if k == d else number  # rows of d float64 that a position needs meanwhile
    width = max(1, _BAND_BYTES // (8 * held * d))
    for start in range(0, positions, width):
        band = slice(start, start + width)
        distances = None if left_out is None else left_out[:, band]
        learn_band(passes, band, settings.epsilon, mean[band], factors[band], distances)
    return Gaussians(mean=mean, factors=factors, grid=np.array([rows, cols])), left_out


def _learn_many(
    passes: Passes,
    band: slice,
    epsilon: float,
    mean: NDArray[np.float32],
    factors: NDArray[np.floating],
    left_out: NDArray[np.float32] | None,
) -> None:
    number = len(passes)
    sums = passes.sums(band)
    exact_mean, scatter = sums.mean(), sums.scatter()
    _check_finite(exact_mean)
    mean[:] = exact_mean.numpy()
    many.inverse_roots(scatter.numpy(), number - 1, epsilon, factors)
    if left_out is None:
        return
    many.inverse_roots(scatter.numpy(), 1, (number - 2) * epsilon, scatter.numpy())
    left_out[:] = passes.left_out(band, exact_mean, scatter)


def _learn_few(
    passes: Passes,
    band: slice,
    epsilon: float,
    mean: NDArray[np.float32],
    factors: NDArray[np.floating],
    left_out: NDArray[np.float32] | None,
) -> None:
    batches = [batch[:, band] for batch in passes.batches("covariance")]
    embeddings = torch.from_numpy(np.concatenate(batches).astype(np.float64)).transpose(0, 1)
    exact_mean = embeddings.mean(dim=1)
    _check_finite(exact_mean)
    mean[:] = exact_mean.numpy()
    span = few.Span(embeddings)
    factors[:] = span.factors(epsilon).numpy()
    if left_out is not None:
        left_out[:] = span.left_out_distances(epsilon)


def _check_finite(mean: torch.Tensor) -> None:
    if not torch.isfinite(mean).all():  # as one embedding that is not makes it
        raise FitError(
            "the network gives embeddings that are NaN or infinite; its weights are damaged, or "
            "its precision does not hold them"
        )


def _check_memory(positions: int, k: int, d: int) -> None:
    """Refuse factors that this machine cannot hold.

    Raises:
        FitError: it cannot. The error says how much they need.
    """
    needed = 4 * positions * k * d + _BAND_BYTES
    has = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if needed > has:
        raise FitError(
            f"{positions} positions with {k} x {d} factors each need {needed / 1e9:.0f} GB, this "
            f"machine has {has / 1e9:.0f} GB; give fewer --dimensions, a smaller --size, or "
            "--layers without the first"
        )
