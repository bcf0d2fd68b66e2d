"""Drawn parts with masks, in MVTec's layout: boards with small defects, screws, and plates.

A board is 640 px of traces and vias, photographed up to 12 px aside; its defects are 6 to 14 px. A
screw is 350 px long in an image of 512 px, and lies in any direction. The plates are those of
`edge_ad.synthetic.parts`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_ad.synthetic.parts import write_parts
from edge_ad_runtime.images import write_png

Grey = NDArray[np.uint8]
Drawn = tuple[Grey, Grey]
"""An image, and a mask that is 255 where the part is defective."""

_BOARD_PX, _SPARE_PX = 640, 64
_SCREW_PX, _HALF_PX = 512, 150
_FILLED = {"mousebite": 0, "pinhole": 0, "open": 0, "spur": 255, "copper": 255, "short": 255}


def board(kind: str | None, rng: np.random.Generator) -> Drawn:
    """A board, spoiled in one to three places at an edge of its copper."""
    y, x = rng.integers(0, 12, 2) + 20
    image = _layout()[y : y + _BOARD_PX, x : x + _BOARD_PX].copy()
    mask = np.zeros_like(image)
    if kind is not None:
        rows, cols = np.nonzero(cv2.Canny(image, 50, 150)[30:-30, 30:-30])
        for _ in range(int(rng.integers(1, 4))):
            i = int(rng.integers(len(rows)))
            _spoil(image, mask, kind, (int(cols[i]) + 30, int(rows[i]) + 30), rng)
    return _photograph(0.7 * image + 40.0, rng), mask


def screw(kind: str | None, rng: np.random.Generator) -> Drawn:
    """A screw, turned at random, whole or with a missing thread, a scratched head or no tip."""
    body, mask = _screw()
    left, right = _SCREW_PX // 2 - _HALF_PX, _SCREW_PX // 2 + _HALF_PX
    if kind == "thread":
        x = int(rng.integers(left + 20, right - 110))
        for layer, value in ((body, 0.0), (mask, 255.0)):
            cv2.rectangle(layer, (x, 236), (x + 12, 246), value, -1)
    elif kind == "scratch":
        x = int(rng.integers(right - 60, right - 30))
        for layer, value, width in ((body, 0.35, 2), (mask, 255.0, 4)):
            cv2.line(layer, (x, 245), (x + 14, 262), value, width, cv2.LINE_AA)
    elif kind == "tip":
        for layer, value in ((body, 0.0), (mask, 255.0)):
            cv2.circle(layer, (left - 26, 256), 9, value, -1)
    angle, shift = float(rng.uniform(0, 360)), rng.uniform(-20, 20, 2)
    turn = np.asarray(cv2.getRotationMatrix2D((256, 256), angle, 1.0), np.float64)
    turn[:, 2] += shift
    size = (_SCREW_PX, _SCREW_PX)
    scene = cv2.warpAffine(205 - 120 * body, turn, size, borderValue=(205,))
    turned = cv2.warpAffine(mask, turn, size)
    return _photograph(np.asarray(scene, np.float64), rng), (255 * (turned > 0)).astype(np.uint8)


_PLATES = "plates"
# what draws an image, the kinds of defect, and how many images of each there are
_DRAWN_HERE: dict[
    str, tuple[Callable[[str | None, np.random.Generator], Drawn], tuple[str, ...], int]
] = {
    "boards": (board, tuple(_FILLED), 6),
    "screws": (screw, ("thread", "scratch", "tip"), 12),
}
DRAWN = (*_DRAWN_HERE, _PLATES)


def write_set(name: str, folder: Path, *, good: int = 60, test_good: int = 30) -> None:
    """Draw a set of `DRAWN`, the same each time."""
    if name == _PLATES:
        write_parts(folder, good=good, test_good=test_good, per_defect=9)
        return
    draw, kinds, of_each = _DRAWN_HERE[name]
    rng = np.random.default_rng(1)
    for place, count in (("train/good", good), ("test/good", test_good)):
        for i in range(count):
            _write(folder / place / f"{i:03}.png", draw(None, rng)[0])
    for kind in kinds:
        for i in range(of_each):
            image, mask = draw(kind, rng)
            _write(folder / "test" / kind / f"{i:03}.png", image)
            _write(folder / "ground_truth" / kind / f"{i:03}_mask.png", mask)


def _layout() -> Grey:
    rng = np.random.default_rng(5)
    side = _BOARD_PX + _SPARE_PX
    image = np.zeros((side, side), np.uint8)
    y = 20
    while y < side - 14:
        points = [(10, y)]
        while points[-1][0] < side - 4:
            x, at = points[-1]
            x += int(rng.integers(40, 120))
            step = 14 * int(rng.integers(-1, 2))
            points += [(x, at), (x + abs(step), at + step)]
        width = int(rng.choice([5, 7, 9]))
        cv2.polylines(image, [np.array(points)], False, 255, width, cv2.LINE_AA)
        y += int(rng.integers(34, 44))
    for x, y in rng.integers(20, side - 24, (60, 2)).tolist():
        cv2.circle(image, (x, y), 13, 255, -1, cv2.LINE_AA)
        cv2.circle(image, (x, y), 5, 0, -1, cv2.LINE_AA)
    return image


def _spoil(
    image: Grey, mask: Grey, kind: str, at: tuple[int, int], rng: np.random.Generator
) -> None:
    (x, y), r, value = at, int(rng.integers(3, 7)), _FILLED[kind]
    if kind in ("open", "short"):
        for layer, filled in ((image, value), (mask, 255)):
            cv2.rectangle(layer, (x - r, y - r - 4), (x + r, y + r + 4), filled, -1)
        return
    cv2.circle(image, at, r, value, -1, cv2.LINE_AA)
    cv2.circle(mask, at, r + 1, 255, -1)


def _screw() -> tuple[NDArray[Any], NDArray[Any]]:
    """How dark the screw is, 0-1, and an empty mask."""
    body = np.zeros((_SCREW_PX, _SCREW_PX), np.float32)
    left, right = 256 - _HALF_PX, 256 + _HALF_PX
    cv2.rectangle(body, (left, 243), (right - 60, 269), 0.75, -1)
    for x in range(left, right - 70, 9):
        cv2.line(body, (x, 238), (x + 5, 274), 1.0, 3, cv2.LINE_AA)
    cv2.fillPoly(body, [np.array([(left, 243), (left, 269), (left - 30, 256)])], 0.8)
    head = [(right - 62, 240), (right - 62, 272), (right - 20, 292), (right - 20, 220)]
    cv2.fillPoly(body, [np.array(head)], 0.9)
    cv2.rectangle(body, (right - 20, 214), (right - 2, 298), 1.0, -1)
    return body, np.zeros((_SCREW_PX, _SCREW_PX), np.float32)


def _photograph(scene: NDArray[np.floating[Any]], rng: np.random.Generator) -> Grey:
    lit = cv2.GaussianBlur(scene, (0, 0), 0.9) * rng.uniform(0.96, 1.04)
    return np.clip(lit + rng.normal(0, 3, scene.shape), 0, 255).astype(np.uint8)


def _write(path: Path, grey: Grey) -> None:
    write_png(path, np.repeat(grey[..., np.newaxis], 3, axis=2))
