"""Draw synthetic parts: a brushed, printed steel plate on a belt, good or defective, with masks.

They serve the demo and the tests. Every part differs in texture, pose, lighting and sensor noise,
as parts under a camera do. No photograph is involved.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_ad.synthetic.damage import Mask, damage
from edge_ad_runtime.images import RGBImage, write_png

DEFECTS = ("scratch", "dent", "stain", "misprint")
HEIGHT_PX, WIDTH_PX = 256, 320
_PLATE = (46, 44, 228, 168)  # x, y, width, height
_HOLES = [(66, 64), (254, 64), (66, 192), (254, 192)]
_BORE = (112, 128)

Layer = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Part:
    """One drawn part.

    Attributes:
        image: ``(H, W, 3)`` uint8 RGB.
        mask: ``(H, W)`` boolean, true where defective.
    """

    image: RGBImage
    mask: Mask


def draw_part(rng: np.random.Generator, defect: str | None = None) -> Part:
    """Draw one part. ``defect`` is one of `DEFECTS`, or None for a good part."""
    plate = _plate_shape()
    surface = _steel(rng) * _relief()
    ink, wrong = _print(rng, misprinted=defect == "misprint")
    cover = 0.8 * ink[..., None]
    surface = surface * (1 - cover) + _rgb(18, 30, 70) * cover
    scene = _belt(rng) * (1 - plate[..., None]) + surface * plate[..., None]

    turn = _pose(rng)
    scene, metal, wrong = (_warp(layer, turn) for layer in (scene, _metal(plate), wrong))
    mask = wrong > 0.5
    image = np.clip(scene, 0, 255).astype(np.uint8)
    if defect in ("scratch", "dent", "stain"):
        inside = cv2.erode(metal, np.ones((21, 21))) > 0.9
        damaged, mask = damage(image, defect, rng, where=inside)
        mask &= metal > 0.5
        image = np.where(mask[..., None], damaged, image)
    return Part(image=_photograph(image.astype(np.float32), rng), mask=mask)


def write_parts(folder: Path, *, good: int, test_good: int, per_defect: int, seed: int = 0) -> None:
    """Write a set in MVTec AD's layout: train/good, test/<kind>, ground_truth/<kind>."""
    streams = np.random.default_rng(seed)
    for i in range(good):
        write_png(folder / "train/good" / f"{i:03}.png", draw_part(streams.spawn(1)[0]).image)
    for i in range(test_good):
        write_png(folder / "test/good" / f"{i:03}.png", draw_part(streams.spawn(1)[0]).image)
    for defect in DEFECTS:
        for i in range(per_defect):
            part = draw_part(streams.spawn(1)[0], defect)
            mask = np.repeat(part.mask[..., None], 3, axis=2).astype(np.uint8) * 255
            write_png(folder / "test" / defect / f"{i:03}.png", part.image)
            write_png(folder / "ground_truth" / defect / f"{i:03}_mask.png", mask)


def _rgb(red: float, green: float, blue: float) -> Layer:
    return np.array([red, green, blue], np.float32)


def _noise(rng: np.random.Generator, sigma_x: float, sigma_y: float) -> Layer:
    """Smoothed gaussian noise of unit variance."""
    white = rng.standard_normal((HEIGHT_PX, WIDTH_PX)).astype(np.float32)
    smooth = cv2.GaussianBlur(white, (0, 0), sigmaX=sigma_x, sigmaY=sigma_y)
    return np.asarray(smooth / smooth.std())


def _belt(rng: np.random.Generator) -> Layer:
    y, x = np.mgrid[:HEIGHT_PX, :WIDTH_PX].astype(np.float32)
    weave = np.sin(x * 1.1) * np.sin(y * 1.1)
    grey = 52 + 5 * weave + 3 * _noise(rng, 1.2, 1.2) + 4 * _noise(rng, 25, 25)
    return np.asarray(grey[..., None] * _rgb(0.95, 1.0, 1.02))


def _steel(rng: np.random.Generator) -> Layer:
    """Brushed along x, with turned rings around the bore."""
    brushed = 158 + 9 * _noise(rng, 18, 0.6) + 4 * _noise(rng, 4, 0.5) + 4 * _noise(rng, 40, 40)
    y, x = np.mgrid[:HEIGHT_PX, :WIDTH_PX].astype(np.float32)
    radius = np.hypot(x - _BORE[0], y - _BORE[1])
    turned = 170 + 10 * np.sin(radius * 2.1 + rng.uniform(0, 6.28)) + 3 * _noise(rng, 1, 1)
    ring = np.clip(48 - radius, 0, 1)
    grey = brushed * (1 - ring) + turned * ring
    return np.asarray(grey[..., None] * _rgb(1.0, 1.0, 1.03))


def _plate_shape() -> Layer:
    x, y, width, height = _PLATE
    shape = np.zeros((HEIGHT_PX, WIDTH_PX), np.float32)
    cv2.rectangle(shape, (x + 12, y), (x + width - 12, y + height), 1.0, -1)
    cv2.rectangle(shape, (x, y + 12), (x + width, y + height - 12), 1.0, -1)
    for cx in (x + 12, x + width - 12):
        for cy in (y + 12, y + height - 12):
            cv2.circle(shape, (cx, cy), 12, 1.0, -1)
    return np.asarray(cv2.GaussianBlur(shape, (0, 0), 0.8))


def _metal(plate: Layer) -> Layer:
    """The plate without its holes: only metal is scratched, dented or stained."""
    metal = plate.copy()
    for centre, radius in [*((hole, 10) for hole in _HOLES), (_BORE, 32)]:
        cv2.circle(metal, centre, radius, 0.0, -1)
    return metal


def _relief() -> Layer:
    """Shading of edges, holes and bore under light from the upper left, as a factor."""
    height: Layer = np.asarray(cv2.GaussianBlur(_plate_shape(), (0, 0), 2), np.float32)
    for centre in _HOLES:
        _sink(height, centre, 9)
    _sink(height, _BORE, 30)
    slope = cv2.Sobel(height, cv2.CV_32F, 1, 0) + cv2.Sobel(height, cv2.CV_32F, 0, 1)
    shade = 1 + 0.25 * slope
    for centre, radius in [*((hole, 8) for hole in _HOLES), (_BORE, 28)]:
        dark = np.zeros_like(shade)
        cv2.circle(dark, centre, radius, 1.0, -1, cv2.LINE_AA)
        shade *= 1 - 0.8 * cv2.GaussianBlur(dark, (0, 0), 1)
    return np.asarray(shade[..., None])


def _sink(height: Layer, centre: tuple[int, int], radius: int) -> None:
    hole = np.zeros_like(height)
    cv2.circle(hole, centre, radius, 1.0, -1)
    height -= cv2.GaussianBlur(hole, (0, 0), 1.5)


def _print(rng: np.random.Generator, *, misprinted: bool) -> tuple[Layer, Layer]:
    """Ink in 0-1, and where it is not what it should be."""
    ink = _label((0, 0))
    if not misprinted:
        return ink, np.zeros_like(ink)
    if rng.random() < 0.5:  # printed twice, the second time beside the first
        found = np.maximum(ink, _label((int(rng.integers(5, 9)), int(rng.integers(5, 9)))))
    else:  # a part of the label is missing
        found = ink.copy()
        left = int(rng.integers(160, 200))
        found[88:164, left : left + 50] = 0
    difference = (np.abs(found - ink) > 0.3).astype(np.uint8)
    closed = cv2.morphologyEx(difference, cv2.MORPH_CLOSE, np.ones((9, 9)))
    return found, np.asarray(closed, np.float32)


def _label(shift: tuple[int, int]) -> Layer:
    dx, dy = shift
    ink = np.zeros((HEIGHT_PX, WIDTH_PX), np.uint8)
    font = cv2.FONT_HERSHEY_DUPLEX
    cv2.putText(ink, "EA-42", (166 + dx, 118 + dy), font, 0.8, 255, 2, cv2.LINE_AA)
    for i, bar in enumerate("101100101110100110101"):
        if bar == "1":
            left = 168 + dx + 3 * i
            cv2.rectangle(ink, (left, 132 + dy), (left + 2, 158 + dy), 255, -1)
    return np.asarray(cv2.GaussianBlur(ink, (0, 0), 0.6) / 255, np.float32)


def _pose(rng: np.random.Generator) -> NDArray[np.float64]:
    centre = (WIDTH_PX / 2, HEIGHT_PX / 2)
    turn = cv2.getRotationMatrix2D(centre, rng.uniform(-2, 2), rng.uniform(0.99, 1.01))
    matrix = np.asarray(turn, np.float64)
    matrix[:, 2] += rng.uniform(-4, 4, 2)
    return matrix


def _warp(layer: Layer, matrix: NDArray[np.float64]) -> Layer:
    size = (WIDTH_PX, HEIGHT_PX)
    return np.asarray(cv2.warpAffine(layer, matrix, size, borderMode=cv2.BORDER_REFLECT))


def _photograph(scene: Layer, rng: np.random.Generator) -> RGBImage:
    """Add uneven lighting, the softness of a lens and sensor noise."""
    y, x = np.mgrid[-1 : 1 : HEIGHT_PX * 1j, -1 : 1 : WIDTH_PX * 1j]
    angle = rng.uniform(0, 2 * np.pi)
    light = rng.uniform(0.94, 1.06) * (1 + 0.06 * (x * np.cos(angle) + y * np.sin(angle)))
    lit = cv2.GaussianBlur(scene, (0, 0), 0.7) * light[..., None]
    noisy = lit + rng.normal(0, 2, scene.shape)
    return np.asarray(np.clip(np.round(noisy), 0, 255), np.uint8)
