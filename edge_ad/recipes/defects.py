"""Defects: items that are missing, moved, bent or cut, and surfaces that are damaged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_ad.recipes.products import ROOM, SIDE, Layer, Points, Product, Rng
from edge_ad.recipes.scenes import Instance, X, Y, draw_instance, paint, photograph


@dataclass(frozen=True)
class Photograph:
    """One photograph of a part.

    Attributes:
        image: ``(SIDE, SIDE, 3)`` uint8.
        change: ``(SIDE, SIDE)``, how much damage has changed each pixel, in grey levels.
    """

    image: NDArray[np.uint8]
    change: Layer


def draw_good(product: Product, rng: Rng, drift: float = 0) -> Photograph:
    """A good part. For ``drift`` see `photograph`."""
    scene, _ = paint(product, draw_instance(product, rng))
    change = np.zeros((SIDE, SIDE), np.float32)
    return Photograph(photograph(product, scene, rng, drift), change)


def draw_defective(product: Product, rng: Rng, drift: float = 0) -> Photograph:
    """A part with one defect, which in nearly all cases can be seen."""
    instance = draw_instance(product, rng)
    scene, covered = paint(product, instance)
    hurt, change = scene, np.zeros((SIDE, SIDE), np.float32)
    for _ in range(_TRIES):
        if instance.placed and rng.random() < 0.5:
            hurt, _ = paint(product, _hurt_item(instance, product, rng))
        else:
            hurt = _hurt_surface(scene, covered, product, rng)
        change = np.abs(cv2.GaussianBlur(hurt - scene, (0, 0), 0.7)).max(axis=2)
        if change.max() > _LEAST:
            break
    return Photograph(photograph(product, np.asarray(hurt, np.float32), rng, drift), change)


def _hurt_surface(scene: Layer, covered: Layer, product: Product, rng: Rng) -> Layer:
    at = rng.uniform(16, SIDE - 16, 2)
    for _ in range(8):
        if covered[int(at[1]), int(at[0])] > 0.5 or not product.items:
            break
        at = rng.uniform(16, SIDE - 16, 2)
    kinds = [kind for kind in SURFACE if not (product.is_grey and kind is _hue)]
    return kinds[int(rng.integers(len(kinds)))](scene, product, rng, at)


# Damage to items.


def _hurt_item(instance: Instance, product: Product, rng: Rng) -> Instance:
    placed = list(instance.placed)
    at = int(rng.integers(len(placed)))
    one, kind = placed[at], int(rng.integers(8))
    reach = 10.0 if one.item.strokes else float(np.abs(one.item.outline).max())
    if kind == 0:
        del placed[at]
        return replace(instance, placed=placed)
    if kind == 1:
        angle = rng.uniform(0, 2 * np.pi)
        away = rng.uniform(4, 18) * np.array([np.cos(angle), np.sin(angle)])
        one = replace(one, place=one.place + away)
    elif kind == 2:
        one = replace(one, angle=one.angle + rng.choice([-1, 1]) * np.deg2rad(rng.uniform(8, 90)))
    elif kind == 3:
        one = replace(
            one, scale=one.scale * rng.choice([rng.uniform(0.6, 0.88), rng.uniform(1.12, 1.4)])
        )
    elif kind == 4:
        other = int(rng.choice([m for m in range(4) if m != one.item.material]))
        one = replace(one, item=replace(one.item, material=other))
    elif kind == 5:
        one = replace(one, cut=(rng.uniform(0, 2 * np.pi), rng.uniform(-0.3, 0.7) * reach))
    elif kind == 6:
        depth = rng.choice([-1, 1]) * rng.uniform(0.12, 0.5)
        one = replace(one, notch=(rng.uniform(0, 2 * np.pi), depth, rng.uniform(0.12, 0.6)))
    else:
        placed.append(replace(one, place=one.place + rng.uniform(-25, 25, 2)))
    placed[at] = one
    return replace(instance, placed=placed)


# Damage to surfaces: (SIDE, SIDE, 3) in 0-255 to the same. `at` is the middle of the damage.


def _strength(rng: Rng, low: float, high: float) -> float:
    return float(rng.choice([-1, 1]) * np.exp(rng.uniform(np.log(low), np.log(high))))


def _blob(rng: Rng, at: Points, radius: float) -> Layer:
    theta = np.arctan2(Y - at[1], X - at[0])
    outline = np.ones_like(theta)
    for k in (1, 2, 3, 5):
        outline += np.float32(rng.uniform(-0.22, 0.22)) * np.cos(k * theta + rng.uniform(0, 6.28))
    squeeze, tilt = rng.uniform(1, 2.5), rng.uniform(0, np.pi)
    u = (X - at[0]) * np.cos(tilt) + (Y - at[1]) * np.sin(tilt)
    v = ((Y - at[1]) * np.cos(tilt) - (X - at[0]) * np.sin(tilt)) * squeeze
    inside = 1 - np.hypot(u, v) / (radius * outline)
    return np.asarray(0.5 + 0.5 * np.tanh(np.exp(rng.uniform(0.3, 2.3)) * inside), np.float32)


def _line(rng: Rng, at: Points, length: float, width: int) -> Layer:
    wander, angle = rng.choice([0.03, 0.25, 0.6]), rng.uniform(0, 2 * np.pi)
    turns = angle + np.cumsum(rng.normal(0, wander, 14))
    path = np.cumsum(np.stack([np.cos(turns), np.sin(turns)], axis=1), axis=0) * length / 14
    canvas = np.zeros((SIDE, SIDE), np.uint8)
    fixed = np.round((path - path.mean(axis=0) + at) * 16).astype(np.int32)
    cv2.polylines(canvas, [fixed], False, 255, width, cv2.LINE_AA, shift=4)
    return np.asarray(canvas / 255, np.float32)


def _cover(rng: Rng, at: Points) -> Layer:
    """How far each place is covered, in 0-1: by a blob, a line, or specks."""
    kind = rng.random()
    if kind < 0.5:
        return _blob(rng, at, np.exp(rng.uniform(np.log(2), np.log(22))))
    if kind < 0.88:
        return _line(rng, at, rng.uniform(12, 110), int(rng.choice([1, 1, 2, 3, 5])))
    cover = np.zeros((SIDE, SIDE), np.float32)
    for x, y in at + rng.normal(0, 9, (int(rng.integers(3, 12)), 2)):
        cv2.circle(cover, (int(x), int(y)), int(rng.integers(1, 3)), 1.0, -1, cv2.LINE_AA)
    return cover


def _shade(scene: Layer, product: Product, rng: Rng, at: Points) -> Layer:
    return scene * (1 + _strength(rng, 0.12, 0.8) * _cover(rng, at))[..., None]


def _paint_over(scene: Layer, product: Product, rng: Rng, at: Points) -> Layer:
    """A plain colour, or another material, over a spot or along a line."""
    cover = _cover(rng, at)[..., None] * rng.uniform(0.25, 1)
    if rng.random() < 0.5:
        paint_: Layer = rng.uniform(0, 255, 3).astype(np.float32)
        if product.is_grey:
            paint_ = np.full(3, paint_[0])
    else:
        material = product.materials[int(rng.integers(4))]
        x, y = rng.integers(0, ROOM + 1, 2)
        paint_ = material.colours[y : y + SIDE, x : x + SIDE]
    return scene + cover * (paint_ - scene)


def _hue(scene: Layer, product: Product, rng: Rng, at: Points) -> Layer:
    cover = _cover(rng, at)[..., None] * rng.uniform(0.3, 1)
    gains = 1 + rng.uniform(0.1, 0.5) * rng.permutation([1.0, 0.0, -1.0])
    return scene * (1 + cover * (gains - 1)).astype(np.float32)


def _smear(scene: Layer, product: Product, rng: Rng, at: Points) -> Layer:
    cover = _blob(rng, at, rng.uniform(6, 22))[..., None]
    if rng.random() < 0.5:
        soft = cv2.GaussianBlur(scene, (0, 0), rng.uniform(2, 6))
    else:
        soft = cv2.GaussianBlur(scene, (0, 0), sigmaX=rng.uniform(3, 9), sigmaY=0.5)
    return scene + cover * (soft - scene)


def _dent(scene: Layer, product: Product, rng: Rng, at: Points) -> Layer:
    cover = cv2.GaussianBlur(_cover(rng, at), (0, 0), rng.uniform(1, 3))
    light = rng.uniform(0, 2 * np.pi)
    gx, gy = cv2.Sobel(cover, cv2.CV_32F, 1, 0), cv2.Sobel(cover, cv2.CV_32F, 0, 1)
    slope = gx * np.cos(light) + gy * np.sin(light)
    peak = max(float(np.abs(slope).max()), 1e-3)
    lit = scene * (1 + rng.uniform(0.12, 0.6) * slope / peak)[..., None]
    return np.asarray(lit)


def _swirl(scene: Layer, product: Product, rng: Rng, at: Points) -> Layer:
    """The surface pulled, pinched or turned."""
    dx, dy = X - np.float32(at[0]), Y - np.float32(at[1])
    falloff = np.exp(-(dx**2 + dy**2) / rng.uniform(7, 20) ** 2)
    angle, pull = rng.uniform(-1.5, 1.5), rng.uniform(-0.6, 0.6)
    moved = rng.uniform(-9, 9, 2)
    turn = angle * falloff
    u = (dx * np.cos(turn) - dy * np.sin(turn)) * (1 + pull * falloff) + moved[0] * falloff
    v = (dx * np.sin(turn) + dy * np.cos(turn)) * (1 + pull * falloff) + moved[1] * falloff
    x, y = (u + at[0]).astype(np.float32), (v + at[1]).astype(np.float32)
    return np.asarray(cv2.remap(scene, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT))


def _moved(scene: Layer, product: Product, rng: Rng, at: Points) -> Layer:
    """A piece of the part where another should be (CutPaste: Li et al. 2021), turned or not."""
    angle = float(rng.choice([0, 90, 180, rng.uniform(0, 360)]))
    matrix = np.asarray(cv2.getRotationMatrix2D(tuple(at), angle, 1), np.float64)
    matrix[:, 2] += rng.uniform(-60, 60, 2)
    other = cv2.warpAffine(scene, matrix, (SIDE, SIDE), borderMode=cv2.BORDER_REFLECT)
    if rng.random() < 0.5:
        cover = _blob(rng, at, rng.uniform(6, 20))
    else:
        cover = np.zeros((SIDE, SIDE), np.float32)
        box = cv2.boxPoints((tuple(at), tuple(rng.uniform(6, 40, 2)), rng.uniform(0, 90)))
        cv2.fillPoly(cover, [box.astype(np.int32)], 1.0, cv2.LINE_AA)
    return scene + cover[..., None] * (other - scene)


def _broad(scene: Layer, product: Product, rng: Rng, at: Points) -> Layer:
    """A broad band or patch of another brightness."""
    cover = _line(rng, at, rng.uniform(60, 150), int(rng.integers(12, 40)))
    soft = cv2.GaussianBlur(cover, (0, 0), rng.uniform(3, 9))
    return scene * (1 + _strength(rng, 0.12, 0.35) * soft)[..., None]


SURFACE: tuple[Callable[[Layer, Product, Rng, Points], Layer], ...] = (
    _shade, _shade, _paint_over, _paint_over, _hue, _smear, _dent, _swirl, _moved, _moved, _broad,
)  # fmt: skip
_LEAST, _TRIES = 10.0, 6  # damage changes some place by more grey levels, or is drawn anew
