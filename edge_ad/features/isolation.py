"""The most isolated patches of the good images: where to look for a part that is not good.

The greedy coreset takes outliers first, so a defective image among the good ones enters the bank
at once and its defect is never found again. The same greed finds it: the first rows chosen are
candidates, and each is measured against all patches of all *other* images.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from edge_ad.features.coreset import greedy_coreset
from edge_ad_runtime.images import RGBImage, read_image
from edge_ad_runtime.images.preprocess import Preprocessing

_CANDIDATES = 64
_TILE_PX = 224
_CAPTION_PX = 40
_COLUMNS = 4


@dataclass(frozen=True, kw_only=True)
class IsolatedPatch:
    """The patch of one good image that is farthest from all other images.

    Attributes:
        path: the image.
        cell: ``(row, column)`` on the patch grid.
        distance: L2, to the nearest patch of any other good image of the bank.
        relative: ``distance`` over the median of all images listed.
        excluded: whether the image was left out of the bank for it.
    """

    path: str
    cell: tuple[int, int]
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
    """One patch per image, the most isolated image first; images without candidates are not listed.

    Args:
        features: ``(N, rows, cols, D)``.
        paths: of the N images.
        exclude_above: mark images whose ``relative`` is above this as excluded.
        seed: of the candidates.
    """
    if len(features) < 2:
        return []
    patches = features.reshape(-1, features.shape[-1])
    cols, per_image = features.shape[2], features.shape[1] * features.shape[2]
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
            distance=distance,
            relative=distance / max(median, 1e-12),
            excluded=exclude_above is not None and distance > exclude_above * median,
        )
        for image, (distance, cell) in ranked
    ]


def draw_contact_sheet(isolated: Sequence[IsolatedPatch], preprocessing: Preprocessing,
                       grid: tuple[int, int]) -> RGBImage:  # fmt: skip
    """The images with a box around their most isolated patch and its neighbourhood."""
    tiles = [_tile(patch, preprocessing, grid) for patch in isolated]
    blank = np.full_like(tiles[0], 255)
    tiles += [blank] * (-len(tiles) % _COLUMNS)
    rows = [np.hstack(tiles[i : i + _COLUMNS]) for i in range(0, len(tiles), _COLUMNS)]
    return np.vstack(rows)


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


def _tile(patch: IsolatedPatch, preprocessing: Preprocessing, grid: tuple[int, int]) -> RGBImage:
    image = preprocessing.apply(read_image(patch.path))
    height, width = image.shape[:2]
    y, x = (
        (i + 0.5) * side / n for i, side, n in zip(patch.cell, (height, width), grid, strict=True)
    )
    reach = 2 * max(height / grid[0], width / grid[1])
    corners = [(round(x + s * reach), round(y + s * reach)) for s in (-1, 1)]
    boxed = cv2.rectangle(image.copy(), corners[0], corners[1], (215, 50, 40), 2)
    tile = np.full((_TILE_PX + _CAPTION_PX, _TILE_PX, 3), 255, np.uint8)
    tile[:_TILE_PX] = cv2.resize(boxed, (_TILE_PX, _TILE_PX), interpolation=cv2.INTER_AREA)
    state = ", excluded" if patch.excluded else ""
    lines = (Path(patch.path).name[-30:], f"{patch.relative:.2f} x the median{state}")
    for i, line in enumerate(lines):
        at = (4, _TILE_PX + 15 + 17 * i)
        cv2.putText(tile, line, at, cv2.FONT_HERSHEY_SIMPLEX, 0.4, (30, 30, 30), 1, cv2.LINE_AA)
    return tile
