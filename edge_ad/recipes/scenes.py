"""Good instances of a product, painted and photographed.

They differ in texture, pose, shape, light, focus and noise, as parts under a camera do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_ad.recipes import textures
from edge_ad.recipes.products import SIDE, Item, Layer, Points, Product, Rng

Y, X = np.mgrid[:SIDE, :SIDE].astype(np.float32)


@dataclass(frozen=True)
class Placed:
    """An item where one instance has it. ``cut`` is a line that bounds it, as (normal, offset)."""

    item: Item
    place: Points
    angle: float
    scale: float
    offset: tuple[int, int]
    ripple: Points  # (k, 2): amplitude and phase of the outline's k-th wave
    cut: tuple[float, float] | None = None
    notch: tuple[float, float, float] | None = None  # angle, depth, width


@dataclass(frozen=True)
class Instance:
    """One part: where its piece of the ground begins, and its items."""

    ground: tuple[int, int]
    placed: Sequence[Placed] = field(default_factory=tuple)
    light: float = 0.0  # the light's direction, radians
    shades: tuple[float, ...] = (1.0, 1.0, 1.0, 1.0)  # the brightness of each material


def draw_instance(product: Product, rng: Rng) -> Instance:
    """A good instance of the product."""
    vary, middle = product.vary, SIDE / 2
    turn, scale = rng.uniform(-1, 1) * vary.turn, 1 + rng.uniform(-1, 1) * vary.scale
    shift = rng.uniform(-1, 1, 2) * vary.shift
    cos, sin = scale * np.cos(turn), scale * np.sin(turn)
    pose = np.array([[cos, -sin], [sin, cos]])
    placed = []
    for item in product.items:
        own = rng.uniform(-1, 1, 2) * vary.item_shift
        placed.append(
            Placed(
                item,
                pose @ (item.place - middle) + middle + shift + own,
                item.angle + turn + rng.uniform(-1, 1) * vary.item_turn,
                scale,
                product.materials[item.material].offset(rng),
                np.stack([rng.normal(0, vary.wobble, 3), rng.uniform(0, 2 * np.pi, 3)], axis=1),
            )
        )
    ground = product.materials[0].offset(rng)
    light = float(rng.uniform(0, 2 * np.pi)) if rng.random() < 0.2 else 0.7
    shades = tuple(1 + vary.shade * rng.uniform(-1, 1, 4))
    return Instance(ground, placed, light, shades)


def paint(product: Product, instance: Instance) -> tuple[Layer, Layer]:
    """The scene ``(SIDE, SIDE, 3)`` in 0-255, and how far each place is covered by items."""
    x, y = instance.ground
    ground = product.materials[0].colours[y : y + SIDE, x : x + SIDE]
    scene = np.asarray(instance.shades[0] * ground, np.float32)
    covered = np.zeros((SIDE, SIDE), np.float32)
    for placed in instance.placed:
        _paint_item(scene, covered, product, placed, instance)
    return scene, covered


def _paint_item(
    scene: Layer, covered: Layer, product: Product, placed: Placed, instance: Instance
) -> None:
    """Paint one item over the scene, in place.

    It is one recipe, read from top to bottom: outline, cut, shadow, material, bevel.
    """
    item, light = placed.item, instance.light
    cos, sin = placed.scale * np.cos(placed.angle), placed.scale * np.sin(placed.angle)
    turn = np.array([[cos, -sin], [sin, cos]])
    mask = np.zeros((SIDE, SIDE), np.uint8)
    if item.strokes:
        lines = [line @ turn.T + placed.place for line in item.strokes]
        if placed.notch is not None:  # bent
            lines = [_bow(line, placed.notch) for line in lines[:1]] + lines[1:]
        fixed = [np.round(line * 16).astype(np.int32) for line in lines]
        cv2.polylines(mask, fixed, False, 255, item.width, cv2.LINE_AA, shift=4)
        outline = np.concatenate(lines)
    else:
        outline = _rippled(item.outline, placed) @ turn.T + placed.place
        cv2.fillPoly(mask, [np.round(outline * 16).astype(np.int32)], 255, cv2.LINE_AA, shift=4)
    pad = 8 + item.width
    left, top = (int(v) for v in np.clip(outline.min(axis=0) - pad, 0, SIDE - 1))
    right, bottom = (int(v) + 1 for v in np.clip(outline.max(axis=0) + pad, 0, SIDE - 1))
    box = (slice(top, bottom), slice(left, right))
    alpha = mask[box].astype(np.float32) / 255
    if placed.cut is not None:
        normal, at = placed.cut
        side = (X[box] - placed.place[0]) * np.cos(normal) + (Y[box] - placed.place[1]) * np.sin(
            normal
        )
        alpha = alpha * np.clip(at - side, 0, 1).astype(np.float32)
    part = scene[box]
    if item.shadow:
        soft = cv2.GaussianBlur(alpha, (0, 0), 3)
        dark = np.roll(soft, (3, 3), (0, 1))
        part *= (1 - item.shadow * 0.7 * dark)[..., None]
    x, y = placed.offset
    material = product.materials[item.material]
    if material.fresh:
        own = material.colours[y + top : y + bottom, x + left : x + right]
    else:
        size, half = (right - left, bottom - top), textures.SIDE / 2
        matrix = np.linalg.inv(np.vstack([np.c_[turn, placed.place - (left, top)], [0, 0, 1]]))[:2]
        matrix[:, 2] += half
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        turned = cv2.warpAffine(
            material.colours, matrix, size, flags=flags, borderMode=cv2.BORDER_REFLECT
        )
        own = np.asarray(turned, np.float32)
    if item.bevel:
        height = cv2.GaussianBlur(alpha, (0, 0), 2.5)
        gx, gy = cv2.Sobel(height, cv2.CV_32F, 1, 0), cv2.Sobel(height, cv2.CV_32F, 0, 1)
        own = own * (1 + item.bevel * (gx * np.cos(light) + gy * np.sin(light)))[..., None]
    cover = (item.opacity * alpha)[..., None]
    part += cover * (np.float32(instance.shades[item.material]) * own - part)
    covered[box] = np.maximum(covered[box], alpha)


def _rippled(outline: Points, placed: Placed) -> Points:
    theta = np.linspace(0, 2 * np.pi, len(outline), endpoint=False)
    stretch = np.ones_like(theta)
    for k, (amplitude, phase) in enumerate(placed.ripple, start=2):
        stretch += amplitude * np.cos(k * theta + phase)
    if placed.notch is not None:
        at, depth, width = placed.notch
        away = np.angle(np.exp(1j * (theta - at)))
        stretch += depth * np.exp(-((away / width) ** 2))
    return np.asarray(outline * stretch[:, None], np.float64)


def _bow(line: Points, notch: tuple[float, float, float]) -> Points:
    """A stroke bent towards its end."""
    at, depth, _ = notch
    t = np.linspace(0, 1, 16)[:, None]
    position = t[:, 0] * (len(line) - 1)
    whole = np.stack(
        [np.interp(position, np.arange(len(line)), line[:, i]) for i in (0, 1)], axis=1
    )
    return np.asarray(whole + 70 * depth * t**2 * np.array([np.cos(at), np.sin(at)]), np.float64)


def photograph(product: Product, scene: Layer, rng: Rng, drift: float = 0) -> NDArray[np.uint8]:
    """Add light, tint, focus and noise. ``drift`` is how far off exposure and focus are."""
    vary = product.vary
    angle = rng.uniform(0, 2 * np.pi)
    across = ((X - SIDE / 2) * np.cos(angle) + (Y - SIDE / 2) * np.sin(angle)) / (SIDE / 2)
    gain = 1 + rng.uniform(-1, 1) * vary.light + rng.uniform(-1, 1) * drift
    lit = scene * (gain * (1 + rng.uniform(0, 1) * vary.slope / 2 * across))[..., None]
    if not product.is_grey:
        lit = lit * (1 + rng.uniform(-1, 1, 3) * vary.tint).astype(np.float32)
    sigma = rng.uniform(*vary.blur) + drift * rng.uniform(0, 3)
    lit = cv2.GaussianBlur(lit.astype(np.float32), (0, 0), sigma)
    size = (SIDE, SIDE, 1 if product.is_grey else 3)
    noisy = lit + np.float32(vary.noise) * rng.standard_normal(size, dtype=np.float32)
    if product.is_grey:
        noisy = np.repeat(noisy.mean(axis=2, keepdims=True), 3, axis=2)
    if vary.sharpen:
        noisy = noisy + np.float32(vary.sharpen) * (noisy - cv2.GaussianBlur(noisy, (0, 0), 1.0))
    image = np.clip(np.round(noisy), 0, 255).astype(np.uint8)
    if vary.jpeg:
        _, packed = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, vary.jpeg])
        image = cv2.imdecode(packed, cv2.IMREAD_COLOR)
    return np.asarray(image, np.uint8)
