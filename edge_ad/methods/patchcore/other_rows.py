"""The bank without the rows of one part: the nearest that are left, and quick upper bounds of them.

Everything is a product of matrices with the rows that do not count masked afterwards, so that
images with different rows to leave out are searched together.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edge_ad_runtime.search import Nearest

_BLOCK_ROWS = 8192  # bank rows of one product
_BLOCK_QUERIES = 2048
_PROBES = 2  # groups of the bank that a patch is compared with for its upper bound
_ROUNDING = 1e-5  # of a squared length: what squared distances from products may be off by
_SPARE = 4  # candidates whose distances are measured beside those that are asked for


class OtherRows:
    """A bank in which every query sees only the rows of other parts.

    Args:
        bank: ``(n, D)`` float32.
        parts: ``(n,)``, the number of the part that each row is of.
        seed: draws the groups of `upper_bounds`.
    """

    def __init__(self, bank: NDArray[np.float32], parts: NDArray[np.int64], *, seed: int) -> None:
        self._mean = torch.from_numpy(bank.mean(axis=0))  # smaller norms, less cancellation
        self._raw = bank
        self._rows = torch.from_numpy(bank) - self._mean
        self._parts = torch.from_numpy(parts)
        self._half_sq_norms = self._rows.square().sum(dim=1) / 2
        count = math.isqrt(len(bank))
        drawn = np.random.default_rng(seed).choice(len(bank), count, replace=False)
        self._centres = self._rows[torch.from_numpy(np.sort(drawn))]
        self._half_sq_centres = self._centres.square().sum(dim=1) / 2
        groups = torch.cat(
            [self._nearest_centres(part, 1) for part in torch.split(self._rows, 4096)]
        )[:, 0]
        order = groups.argsort(stable=True)
        ends = groups.bincount(minlength=count).cumsum(0).tolist()
        self._groups = [order[start:end] for start, end in zip([0, *ends], ends, strict=False)]

    def upper_bounds(
        self, queries: NDArray[np.float32], parts: NDArray[np.int64], k: int
    ) -> NDArray[np.float32]:
        """Distances that are nowhere smaller than those to the k nearest rows of other parts.

        The bank is in groups around drawn rows, and a query is compared with the groups whose
        centres are nearest to it.

        Args:
            queries: ``(q, D)``.
            parts: ``(q,)``, the part that each query is of.
            k: how many distances.

        Returns:
            ``(q, k)``, rising. They are infinite where the groups have too few rows of other parts.
        """
        centred, own = torch.from_numpy(queries) - self._mean, torch.from_numpy(parts)
        near = self._nearest_centres(centred, min(_PROBES, len(self._centres)))  # (q, probes)
        best = torch.full((len(queries), near.shape[1], k), -torch.inf)
        for probe in range(near.shape[1]):
            order = near[:, probe].argsort()
            ends = near[:, probe].bincount(minlength=len(self._groups)).cumsum(0).tolist()
            for rows, start, end in zip(self._groups, [0, *ends], ends, strict=False):
                asking = order[start:end]
                if len(asking) and len(rows):
                    closeness = self._closeness(centred[asking], own[asking], rows)
                    found = _largest(closeness, k)
                    best[asking, probe, : found.shape[1]] = found
        closeness = best.flatten(1).topk(k, dim=1).values  # largest first
        sq_norms = centred.square().sum(dim=1, keepdim=True)
        squares = (sq_norms - 2 * closeness).clamp(min=0) + _ROUNDING * sq_norms
        return np.asarray(squares.sqrt().numpy())

    def nearest(self, queries: NDArray[np.float32], parts: NDArray[np.int64], k: int) -> Nearest:
        """The k nearest rows of other parts, of which there must be so many.

        Distances are measured from the differences in float64, so that rows that are almost equally
        near are in their true order.

        Args:
            queries: ``(q, D)``.
            parts: ``(q,)``, the part that each query is of.
            k: how many rows.
        """
        distances = np.empty((len(queries), k), np.float32)
        rows = np.empty((len(queries), k), np.int64)
        for start in range(0, len(queries), _BLOCK_QUERIES):
            block = slice(start, start + _BLOCK_QUERIES)
            proposed = np.sort(self._proposed(queries[block], parts[block], k + _SPARE), axis=1)
            difference = self._raw[proposed].astype(np.float64) - queries[block][:, np.newaxis]
            squares = np.einsum("qkd,qkd->qk", difference, difference)
            own = self._parts.numpy()[proposed] == parts[block][:, np.newaxis]
            squares[own] = np.inf  # where the others are fewer than the candidates
            order = squares.argsort(axis=1, kind="stable")[:, :k]  # ties go to the lowest row
            rows[block] = np.take_along_axis(proposed, order, axis=1)
            distances[block] = np.sqrt(np.take_along_axis(squares, order, axis=1))
        return Nearest(distances, rows, len(queries), 0.0)

    def _proposed(
        self, queries: NDArray[np.float32], parts: NDArray[np.int64], count: int
    ) -> NDArray[np.int64]:
        centred, own = torch.from_numpy(queries) - self._mean, torch.from_numpy(parts)
        values = torch.empty((len(queries), 0))
        rows = torch.empty((len(queries), 0), dtype=torch.int64)
        for start in range(0, len(self._rows), _BLOCK_ROWS):
            closeness = self._closeness(centred, own, slice(start, start + _BLOCK_ROWS))
            found = closeness.topk(min(count, closeness.shape[1]), dim=1)
            values = torch.cat([values, found.values], dim=1)
            rows = torch.cat([rows, found.indices + start], dim=1)
        kept = values.topk(min(count, values.shape[1]), dim=1).indices
        return np.asarray(rows.gather(1, kept).numpy())

    def _closeness(self, centred: Tensor, own: Tensor, rows: Tensor | slice) -> Tensor:
        """q.b - |b|^2 / 2, ``(q, rows)``, which falls with the distance; own rows are -inf."""
        products = torch.addmm(self._half_sq_norms[rows], centred, self._rows[rows].T, beta=-1)
        return products.masked_fill_(own[:, None] == self._parts[rows], -torch.inf)

    def _nearest_centres(self, centred: Tensor, count: int) -> Tensor:
        closeness = torch.addmm(self._half_sq_centres, centred, self._centres.T, beta=-1)
        return closeness.topk(count, dim=1).indices


def _largest(values: Tensor, k: int) -> Tensor:
    """The k largest of each row, or all if there are fewer. For one, sorting is a waste."""
    if k == 1:
        return values.amax(dim=1, keepdim=True)
    return values.topk(min(k, values.shape[1]), dim=1).values
