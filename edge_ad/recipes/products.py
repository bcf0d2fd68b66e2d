"""Procedural products: of what materials, outlines and strokes, and how far good ones differ.

No photograph is involved. The parts on which choices are made are drawn by other code
(`edge_ad/recipes/generated_parts.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from edge_ad.recipes import textures

SIDE = 192  # of the images
ROOM = textures.SIDE - SIDE

Layer = NDArray[np.float32]
Points = NDArray[np.float64]
Rng = np.random.Generator


@dataclass(frozen=True)
class Material:
    """What a part is made of.

    Attributes:
        colours: ``(textures.SIDE, textures.SIDE, 3)``.
        fresh: whether each instance shows another piece of it.
    """

    colours: Layer
    fresh: bool

    def offset(self, rng: Rng) -> tuple[int, int]:
        """The x and y at which the piece that one instance shows begins."""
        x, y = rng.integers(0, ROOM + 1, 2) if self.fresh else (ROOM // 2, ROOM // 2)
        return int(x), int(y)


@dataclass(frozen=True)
class Item:
    """An outline ``(n, 2)`` px around its place (or strokes, each ``width`` px), of a material."""

    outline: Points
    strokes: tuple[Points, ...]
    width: int
    material: int
    place: Points
    angle: float
    bevel: float
    shadow: float
    opacity: float


@dataclass(frozen=True)
class Vary:
    """How far good parts differ, in px, radians, and shares of the value that varies.

    ``blur`` and ``noise`` are standard deviations, in px and grey levels. ``jpeg`` is a quality,
    and 0 is no compression. ``shade`` varies each material's own brightness.
    """

    shift: float
    turn: float
    scale: float
    item_shift: float
    item_turn: float
    wobble: float
    light: float
    slope: float
    tint: float
    blur: tuple[float, float]
    noise: float
    shade: float
    jpeg: int
    sharpen: float


@dataclass(frozen=True)
class Product:
    """Items, of which later ones cover earlier ones, on a ground of the first material."""

    materials: Sequence[Material]
    items: Sequence[Item]
    vary: Vary
    is_grey: bool


def draw_product(rng: Rng, bank: NDArray[np.uint8]) -> Product:
    """A product of materials from ``bank`` ``(N, textures.SIDE, textures.SIDE)``."""
    is_grey = bool(rng.random() < 0.35)
    layout = LAYOUTS[int(rng.choice(len(LAYOUTS), p=_ODDS))]
    items = layout(rng)
    materials = [_material(rng, bank, is_grey) for _ in range(4)]
    if items and rng.random() < 0.5:  # a plain ground
        ground = materials[0].colours
        middle = ground.mean(axis=(0, 1))
        faint = np.asarray(middle + 0.1 * (ground - middle), np.float32)
        materials[0] = replace(materials[0], colours=faint)
    free = bool(items) and rng.random() < 0.2
    vary = Vary(
        shift=_often_zero(rng, 6),
        turn=np.pi if free else np.deg2rad(_often_zero(rng, 6)),
        scale=_often_zero(rng, 0.05),
        item_shift=_often_zero(rng, 1.5),
        item_turn=np.deg2rad(_often_zero(rng, 3)),
        wobble=_often_zero(rng, 0.03),
        light=_often_zero(rng, 0.25),
        slope=_often_zero(rng, 0.25),
        tint=_often_zero(rng, 0.05),
        blur=(0.3, float(rng.uniform(0.3, 1.0))),
        noise=float(rng.uniform(0.5, 5)),
        shade=_often_zero(rng, 0.15),
        jpeg=int(rng.integers(40, 96)) if rng.random() < 0.25 else 0,
        sharpen=_often_zero(rng, 1.0) * (rng.random() < 0.3),
    )
    return Product(materials, items, vary, is_grey)


def _often_zero(rng: Rng, largest: float) -> float:
    return float(rng.uniform(0, largest)) if rng.random() < 0.75 else 0.0


def _material(rng: Rng, bank: NDArray[np.uint8], is_grey: bool) -> Material:
    texture = bank[int(rng.integers(len(bank)))]
    mean, contrast = rng.uniform(25, 215), np.exp(rng.uniform(np.log(6), np.log(110)))
    low, high = np.clip([mean - contrast / 2, mean + contrast / 2], 3, 250)
    saturation = 0.0 if is_grey else abs(rng.normal(0, 0.35))
    tints = 1 + saturation * rng.uniform(-1, 1, 3) + 0.3 * saturation * rng.uniform(-1, 1, (2, 3))
    ends = np.clip(np.array([[low], [high]]) * tints, 0, 255)
    ramp = np.linspace(0, 1, 256)[:, None] ** np.exp(rng.uniform(-0.6, 0.6))
    lut = (ends[0] + ramp * (ends[1] - ends[0])).astype(np.float32)
    return Material(lut[texture], fresh=bool(rng.random() < 0.85))


def _outline(rng: Rng, radius: float) -> Points:
    """A closed line around the origin: an ellipse, polygon, gear, rounded box or superformula."""
    t = np.linspace(0, 2 * np.pi, 72, endpoint=False)
    kind = int(rng.integers(5))
    r: Points
    if kind == 0:
        r = np.ones(len(t))
    elif kind == 1:
        n = int(rng.integers(3, 9))
        r = np.asarray(np.cos(np.pi / n) / np.cos((t % (2 * np.pi / n)) - np.pi / n))
    elif kind == 2:
        teeth = int(rng.integers(5, 18))
        depth = rng.uniform(0.1, 0.25)
        r = np.where(np.sin(teeth * t) > rng.uniform(-0.5, 0.5), 1 - depth, 1.0)
    elif kind == 3:
        power = rng.uniform(3, 12)
        r = (np.abs(np.cos(t)) ** power + np.abs(np.sin(t)) ** power) ** (-1 / power)
    else:
        m, n1, n2 = rng.integers(2, 8), rng.uniform(0.6, 4), rng.uniform(1, 5)
        r = (np.abs(np.cos(m * t / 4)) ** n2 + np.abs(np.sin(m * t / 4)) ** n2) ** (-1 / n1)
    points = r[:, None] * np.stack([np.cos(t), np.sin(t)], axis=1)
    points[:, 1] *= rng.uniform(0.35, 1)
    return np.asarray(radius * points / np.abs(points).max(), np.float64)


def _item(rng: Rng, radius: float, place: Points, material: int | None = None) -> Item:
    return Item(
        outline=_outline(rng, radius),
        strokes=(),
        width=0,
        material=int(rng.integers(1, 4)) if material is None else material,
        place=np.asarray(place, np.float64),
        angle=float(rng.choice([0, np.pi / 2, rng.uniform(0, 2 * np.pi)])),
        bevel=_often_zero(rng, 0.8),
        shadow=_often_zero(rng, 0.7),
        opacity=1.0 if rng.random() < 0.85 else float(rng.uniform(0.3, 0.9)),
    )


def _strokes(rng: Rng, size: float) -> tuple[Points, ...]:
    """Lines that stay close to each other: legs, lettering, tracks, a thread."""
    kind, count = int(rng.integers(4)), int(rng.integers(2, 7))
    if kind == 0:  # legs
        gap = size * rng.uniform(0.25, 0.7)
        return tuple(
            np.array([[gap * (i - count / 2), -size], [gap * (i - count / 2), size]])
            for i in range(count)
        )
    if kind == 1:  # lettering: strokes between the points of a 3 x 3 raster
        letters = []
        for i in range(count):
            raster = rng.integers(0, 3, (int(rng.integers(3, 6)), 2)) * np.array([0.35, 0.5])
            letters.append(size * (raster + np.array([1.1 * (i - count / 2), -0.5])))
        return tuple(letters)
    if kind == 2:  # tracks with right angles
        steps = rng.integers(-1, 2, (count, 5, 2)) * (rng.random((count, 5, 1)) < 0.7) * size / 2
        return tuple(np.cumsum(track, axis=0) + rng.uniform(-size, size, 2) for track in steps)
    turns = np.cumsum(rng.normal(0, 0.35, 24)) + rng.uniform(0, 2 * np.pi)
    path = np.cumsum(np.stack([np.cos(turns), np.sin(turns)], axis=1), axis=0) * size / 8
    return (path - path.mean(axis=0),)


def _stroke_item(rng: Rng, size: float, place: Points) -> Item:
    item = _item(rng, 1, place)
    return replace(
        item,
        strokes=_strokes(rng, size),
        width=int(rng.integers(1, 7)),
        outline=np.empty((0, 2)),
        angle=float(rng.choice([0, 0, np.pi / 2, rng.uniform(0, np.pi)])),
    )


def _surface(rng: Rng) -> list[Item]:
    return []


def _single(rng: Rng) -> list[Item]:
    centre, radius = np.array([SIDE / 2, SIDE / 2]), rng.uniform(45, 88)
    items = [_item(rng, radius, centre, 1)]
    for _ in range(int(rng.integers(0, 5))):
        place = centre + rng.uniform(-0.5, 0.5, 2) * radius
        small = rng.uniform(0.08, 0.4) * radius
        items.append(
            _item(rng, small, place) if rng.random() < 0.7 else _stroke_item(rng, small, place)
        )
    return items


def _legged(rng: Rng) -> list[Item]:
    """A body with legs, leads or a stem, that go out from under it."""
    centre = np.array([SIDE / 2, SIDE / 2 - rng.uniform(0, 35)])
    legs = _stroke_item(rng, rng.uniform(40, 80), centre + np.array([0, rng.uniform(20, 60)]))
    gap, n = rng.uniform(10, 24), int(rng.integers(1, 6))
    lines = tuple(
        np.array([[gap * (i - (n - 1) / 2), -40], [gap * (i - (n - 1) / 2), 60.0]])
        for i in range(n)
    )
    legs = replace(legs, strokes=lines, width=int(rng.integers(2, 9)), angle=0.0, opacity=1.0)
    return [legs, _item(rng, rng.uniform(28, 55), centre, 2), *_board(rng)[: int(rng.integers(3))]]


def _board(rng: Rng) -> list[Item]:
    items, count = [], int(rng.integers(3, 13))
    for _ in range(count):
        place, size = rng.uniform(20, SIDE - 20, 2), rng.uniform(6, 30)
        items.append(
            _item(rng, size, place) if rng.random() < 0.7 else _stroke_item(rng, size, place)
        )
    return items


def _array(rng: Rng) -> list[Item]:
    pitch = rng.uniform(24, 70)
    item = _item(rng, pitch * rng.uniform(0.2, 0.48), np.zeros(2), 1)
    if rng.random() < 0.25:
        item = _stroke_item(rng, pitch * 0.35, np.zeros(2))
    start = rng.uniform(0, pitch, 2)
    places = [
        start + pitch * np.array([i, j])
        for j in range(int(SIDE / pitch) + 1)
        for i in range(int(SIDE / pitch) + 1)
    ]
    return [replace(item, place=place) for place in places if place.max() < SIDE - 6]


def _lettered(rng: Rng) -> list[Item]:
    rows = int(rng.integers(1, 5))
    ys = np.linspace(30, SIDE - 30, rows) if rows > 1 else [SIDE / 2]
    items = [_item(rng, rng.uniform(60, 95), np.array([SIDE / 2, SIDE / 2]), 1)] * int(
        rng.random() < 0.5
    )
    return items + [
        _stroke_item(rng, rng.uniform(12, 26), np.array([rng.uniform(70, 122), y])) for y in ys
    ]


LAYOUTS: tuple[Callable[[Rng], list[Item]], ...] = (
    _surface, _single, _legged, _board, _array, _lettered,
)  # fmt: skip
_ODDS = (0.32, 0.24, 0.12, 0.12, 0.1, 0.1)
