"""The most isolated patches of the good images: where to look for a part that is not good.

The greedy coreset takes outliers first. A defective image among the good ones therefore enters the
bank at once, and its defect is never found again. The same greed finds such an image: the first
rows chosen are candidates, and each is measured against all patches of all *other* images.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from edge_ad.features.coreset import greedy_coreset

_CANDIDATES = 64


@dataclass(frozen=True, kw_only=True)
class IsolatedPatch:
    """The patch of one good image that is farthest from all other images.

    Attributes:
        path: the image.
        cell: ``(row, column)`` of the patch on the patch grid.
        grid: ``(rows, columns)`` of the patch grid.
        distance: the L2 distance to the nearest patch of any other image that is learned from.
        relative: ``distance`` divided by the median of the distances of all images listed.
        excluded: whether the image was left out because of this patch.
    """

    path: str
    cell: tuple[int, int]
    grid: tuple[int, int]
    distance: float
    relative: float
    excluded: bool


def find_isolated(
    features: NDArray[np.float32],
    paths: Sequence[Path],
    *,
    exclude_above: float | None = None,
    seed: int = 0,
) -> list[IsolatedPatch]:
    """One patch per image, the most isolated image first. Images without candidates are left out.

    Args:
        features: ``(N, rows, cols, D)``.
        paths: the files of the N images.
        exclude_above: mark images whose ``relative`` is above this as excluded.
        seed: draws the candidates.
    """
    if len(features) < 2:
        return []
    patches = features.reshape(-1, features.shape[-1])
    grid = (features.shape[1], features.shape[2])
    cols, per_image = grid[1], grid[0] * grid[1]
    candidates = greedy_coreset(patches, min(_CANDIDATES, len(patches)), seed=seed)
    found: dict[int, tuple[float, int]] = {}
    for candidate, distance in zip(candidates, _to_other_images(features, candidates), strict=True):
        image, cell = divmod(int(candidate), per_image)
        found[image] = max(found.get(image, (-1.0, 0)), (float(distance), cell))
    median = float(np.median([distance for distance, _ in found.values()]))
    ranked = sorted(found.items(), key=lambda item: -item[1][0])
    return [
        IsolatedPatch(
            path=str(paths[image]),
            cell=divmod(cell, cols),
            grid=grid,
            distance=distance,
            relative=distance / max(median, 1e-12),
            excluded=exclude_above is not None and distance > exclude_above * median,
        )
        for image, (distance, cell) in ranked
    ]


def _to_other_images(
    features: NDArray[np.float32], candidates: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Distance of each candidate patch to the nearest patch of any other image."""
    per_image = features.shape[1] * features.shape[2]
    queries = torch.from_numpy(features.reshape(-1, features.shape[-1])[candidates])
    own = torch.from_numpy(candidates // per_image)
    nearest = torch.full((len(queries),), torch.inf)
    for image, patches in enumerate(features):
        flat = torch.from_numpy(patches.reshape(per_image, -1))
        distance = torch.cdist(queries, flat).amin(dim=1)
        nearest = torch.where(own == image, nearest, torch.minimum(nearest, distance))
    return np.asarray(nearest.numpy())


def rows_kept(isolated: Iterable[IsolatedPatch], paths: Iterable[Path]) -> list[int]:
    """The numbers of the images that are not excluded.

    Args:
        isolated: what `find_isolated` gave.
        paths: the images that it was given.
    """
    excluded = {patch.path for patch in isolated if patch.excluded}
    return [i for i, path in enumerate(paths) if str(path) not in excluded]
