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

CANDIDATES = 64


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
    candidates = greedy_coreset(patches, min(CANDIDATES, len(patches)), seed=seed)
    own = candidates // (grid[0] * grid[1])
    distances = to_other_images(features, patches[candidates], own)
    return ranked(candidates, distances, grid, paths, exclude_above=exclude_above)


def ranked(
    candidates: NDArray[np.int64],
    distances: NDArray[np.float32],
    grid: tuple[int, int],
    paths: Sequence[Path | str],
    *,
    exclude_above: float | None,
) -> list[IsolatedPatch]:
    """The list of `find_isolated`, from its candidates.

    Args:
        candidates: ``(c,)``, their numbers among the patches of all images.
        distances: ``(c,)``, how far each is from all other images.
        grid: the rows and columns of an image's patches.
        paths: the files of the images.
        exclude_above: see `find_isolated`.
    """
    cols, per_image = grid[1], grid[0] * grid[1]
    found: dict[int, tuple[float, int]] = {}
    for candidate, distance in zip(candidates, distances, strict=True):
        image, cell = divmod(int(candidate), per_image)
        found[image] = max(found.get(image, (-1.0, 0)), (float(distance), cell))
    median = float(np.median([distance for distance, _ in found.values()]))
    by_distance = sorted(found.items(), key=lambda item: -item[1][0])
    return [
        IsolatedPatch(
            path=str(paths[image]),
            cell=divmod(cell, cols),
            grid=grid,
            distance=distance,
            relative=distance / max(median, 1e-12),
            excluded=exclude_above is not None and distance > exclude_above * median,
        )
        for image, (distance, cell) in by_distance
    ]


def to_other_images(
    features: Iterable[NDArray[np.float32]],
    candidates: NDArray[np.float32],
    own: NDArray[np.int64],
    *,
    first: int = 0,
) -> NDArray[np.float32]:
    """The distance of each candidate to the nearest patch of these images, but for its own image.

    Args:
        features: for each image its patches ``(rows, cols, D)`` or ``(patches, D)``.
        candidates: ``(c, D)``.
        own: ``(c,)``, the number of each candidate's image.
        first: the number of the first of these images.
    """
    queries, mine = torch.from_numpy(candidates), torch.from_numpy(own)
    nearest = torch.full((len(queries),), torch.inf)
    for image, patches in enumerate(features, start=first):
        flat = torch.from_numpy(patches.reshape(-1, patches.shape[-1]))
        distance = torch.cdist(queries, flat).amin(dim=1)
        nearest = torch.where(mine == image, nearest, torch.minimum(nearest, distance))
    return np.asarray(nearest.numpy())


def rows_kept(isolated: Iterable[IsolatedPatch], paths: Iterable[Path | str]) -> list[int]:
    """The numbers of the images that are not excluded.

    Args:
        isolated: what `find_isolated` gave.
        paths: the images that it was given.
    """
    excluded = {patch.path for patch in isolated if patch.excluded}
    return [i for i, path in enumerate(paths) if str(path) not in excluded]
