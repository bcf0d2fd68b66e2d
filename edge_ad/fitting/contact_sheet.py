"""A picture of the most isolated patches: is there a defect among the good images?"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from edge_ad.features.isolation import IsolatedPatch
from edge_ad_runtime.images import RGBImage, read_image
from edge_ad_runtime.images.preprocess import Preprocessing

_TILE_PX = 224
_CAPTION_PX = 40
_COLUMNS = 4


def draw_contact_sheet(isolated: Sequence[IsolatedPatch], preprocessing: Preprocessing) -> RGBImage:
    """The images with a box around their most isolated patch and its neighbourhood."""
    tiles = [_tile(patch, preprocessing) for patch in isolated]
    blank = np.full_like(tiles[0], 255)
    tiles += [blank] * (-len(tiles) % _COLUMNS)
    rows = [np.hstack(tiles[i : i + _COLUMNS]) for i in range(0, len(tiles), _COLUMNS)]
    return np.vstack(rows)


def _tile(patch: IsolatedPatch, preprocessing: Preprocessing) -> RGBImage:
    image = preprocessing.apply(read_image(patch.path))
    height, width = image.shape[:2]
    y, x = (
        (i + 0.5) * side / n
        for i, side, n in zip(patch.cell, (height, width), patch.grid, strict=True)
    )
    reach = 2 * max(height / patch.grid[0], width / patch.grid[1])
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
