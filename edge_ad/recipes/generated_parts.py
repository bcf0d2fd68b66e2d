"""Generated parts, good and defective, on which choices are made: no real image decides anything.

There are ten kinds of parts, drawn at 224 px: cast, brushed, woven, cellular, wooden, meshed,
printed, round, populated, and the demo's plate. Good ones differ in texture, pose, lighting, focus
and sensor noise. Defects are small, and some are hardly darker than what is around them.

The file is long because the ten kinds share their noise, strokes, defects and camera. In files of
their own, each would be a page of imports around one short drawing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_ad.synthetic.damage import damage
from edge_ad.synthetic.parts import DEFECTS, draw_part

SIDE = 224
FITTED, GOOD, DEFECTIVE = 40, 16, 24

Layer = NDArray[np.float32]
Rng = np.random.Generator


@dataclass(frozen=True)
class Category:
    """The images of one kind of part.

    Attributes:
        name: a key of `KINDS`.
        good: ``(FITTED, H, W, 3)`` uint8, the images to fit.
        test: ``(GOOD + DEFECTIVE, H, W, 3)`` uint8, the images to test.
        is_defective: for each test image whether it is defective.
    """

    name: str
    good: NDArray[np.uint8]
    test: NDArray[np.uint8]
    is_defective: NDArray[np.bool_]


def draw_category(name: str, seed: int, *, drift: float = 0) -> Category:
    """One category: `FITTED` good images, `GOOD` and `DEFECTIVE` ones to test.

    Args:
        name: a key of `KINDS`.
        seed: draws everything in the category.
        drift: the share by which the test images' exposure may be off. Their focus is then a little
            off too, as weeks after the fit.
    """
    rng = np.random.default_rng([seed, list(KINDS).index(name)])
    draw = KINDS[name]
    good = np.stack([draw(rng, False) for _ in range(FITTED)])
    bad = [False] * GOOD + [True] * DEFECTIVE
    test = np.stack([_drifted(draw(rng, is_bad), rng, drift) for is_bad in bad])
    return Category(name, good, test, np.array(bad))


def _drifted(image: NDArray[np.uint8], rng: Rng, drift: float) -> NDArray[np.uint8]:
    if not drift:
        return image
    soft = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.2, 0.6)).astype(np.float32)
    return np.asarray(np.clip(soft * rng.uniform(1 - drift, 1 + drift), 0, 255), np.uint8)


def _noise(rng: Rng, sigma_x: float, sigma_y: float, angle: float = 0) -> Layer:
    """Smoothed gaussian noise of unit variance, turned by ``angle`` degrees."""
    side = SIDE + 100 if angle else SIDE
    white = rng.standard_normal((side, side)).astype(np.float32)
    smooth = cv2.GaussianBlur(white, (0, 0), sigmaX=sigma_x, sigmaY=sigma_y)
    if angle:
        turn = cv2.getRotationMatrix2D((side / 2, side / 2), angle, 1)
        smooth = cv2.warpAffine(smooth, turn, (side, side))[50 : 50 + SIDE, 50 : 50 + SIDE]
    return np.asarray(smooth / smooth.std(), np.float32)


def _tint(grey: Layer, red: float, green: float, blue: float) -> Layer:
    return np.asarray(grey[..., None] * np.array([red, green, blue], np.float32), np.float32)


def _photograph(scene: Layer, rng: Rng, light: float) -> NDArray[np.uint8]:
    """Add exposure and its unevenness, up to ``light``, and focus and sensor noise."""
    y, x = np.mgrid[-1 : 1 : SIDE * 1j, -1 : 1 : SIDE * 1j]
    angle = rng.uniform(0, 2 * np.pi)
    slope = rng.uniform(0, light / 2) * (x * np.cos(angle) + y * np.sin(angle))
    lit = scene * (rng.uniform(1 - light, 1 + light) * (1 + slope))[..., None]
    lit = cv2.GaussianBlur(lit, (0, 0), rng.uniform(0.4, 0.8))
    noisy = lit + rng.normal(0, rng.uniform(1, 3), scene.shape)
    return np.asarray(np.clip(np.round(noisy), 0, 255), np.uint8)


def _turned(scene: Layer, rng: Rng, degrees: float, shift: float) -> Layer:
    turn = cv2.getRotationMatrix2D((SIDE / 2, SIDE / 2), rng.uniform(-degrees, degrees), 1)
    matrix = np.asarray(turn, np.float64)
    matrix[:, 2] += rng.uniform(-shift, shift, 2)
    return np.asarray(cv2.warpAffine(scene, matrix, (SIDE, SIDE), borderMode=cv2.BORDER_REFLECT))


# Defects: (H, W, 3) float32 in 0-255, changed within a disc around the centre.


def _place(rng: Rng, margin: int = 35) -> tuple[int, int]:
    x, y = rng.integers(margin, SIDE - margin, 2)
    return int(x), int(y)


def _blob(rng: Rng, radius: float) -> Layer:
    """A soft, uneven disc in 0-1."""
    y, x = np.mgrid[:SIDE, :SIDE].astype(np.float32)
    cx, cy = _place(rng)
    theta = np.arctan2(y - cy, x - cx)
    outline: Layer = np.ones_like(theta)
    for k in (2, 3, 5):
        outline += np.float32(rng.uniform(-0.2, 0.2)) * np.cos(k * theta + rng.uniform(0, 6.28))
    inside = 1 - np.hypot(x - cx, y - cy) / (radius * outline)
    return np.asarray(0.5 + 0.5 * np.tanh(4 * inside), np.float32)


def _path(rng: Rng, length: float, wander: float, width: int) -> Layer:
    """A line that wanders, in 0-1."""
    angle, point = rng.uniform(0, 2 * np.pi), np.array(_place(rng, 50), np.float64)
    points = [point]
    for _ in range(12):
        angle += rng.normal(0, wander)
        points.append(points[-1] + length / 12 * np.array([np.cos(angle), np.sin(angle)]))
    canvas = np.zeros((SIDE, SIDE), np.uint8)
    fixed = np.round(np.array(points) * 16).astype(np.int32)
    cv2.polylines(canvas, [fixed], False, 255, width, cv2.LINE_AA, shift=4)
    return np.asarray(canvas / 255, np.float32)


def _blowhole(scene: Layer, rng: Rng) -> Layer:
    cover = _blob(rng, rng.uniform(2.5, 6))[..., None]
    return np.asarray(scene * (1 - rng.uniform(0.35, 0.7) * cover))


def _crack(scene: Layer, rng: Rng) -> Layer:
    line = _path(rng, rng.uniform(30, 80), 0.5, 1)[..., None]
    return np.asarray(scene * (1 - rng.uniform(0.25, 0.5) * line))


def _scratch(scene: Layer, rng: Rng) -> Layer:
    line = _path(rng, rng.uniform(40, 90), 0.05, int(rng.integers(1, 3)))[..., None]
    return np.asarray(scene + rng.uniform(20, 45) * line)


def _stain(scene: Layer, rng: Rng) -> Layer:
    """A stain that is hardly darker than what is around it."""
    cover = _blob(rng, rng.uniform(10, 20))[..., None]
    return np.asarray(scene * (1 - rng.uniform(0.12, 0.25) * cover))


def _spot(scene: Layer, rng: Rng) -> Layer:
    """A spot of another colour, about as bright as what is around it."""
    cover = _blob(rng, rng.uniform(5, 12))[..., None]
    colour = rng.permutation(np.array([1.25, 1.0, 0.7], np.float32))
    return np.asarray(scene * (1 - cover * (1 - colour)))


def _smear(scene: Layer, rng: Rng) -> Layer:
    """The texture worn away."""
    cover = _blob(rng, rng.uniform(9, 18))[..., None]
    return np.asarray(scene * (1 - cover) + cv2.GaussianBlur(scene, (0, 0), 4) * cover)


def _dent(scene: Layer, rng: Rng) -> Layer:
    cover = _blob(rng, rng.uniform(8, 14))
    light = rng.uniform(0, 2 * np.pi)
    gx, gy = cv2.Sobel(cover, cv2.CV_32F, 1, 0), cv2.Sobel(cover, cv2.CV_32F, 0, 1)
    slope = gx * np.cos(light) + gy * np.sin(light)
    return np.asarray(scene * (1 + rng.uniform(0.15, 0.35) * slope[..., None]))


def _misplaced(scene: Layer, rng: Rng) -> Layer:
    """A piece of the part where another should be."""
    h, w = (int(v) for v in rng.integers(16, 34, 2))
    (x0, y0), (x1, y1) = _place(rng, 40), _place(rng, 40)
    out = scene.copy()
    out[y1 - h // 2 : y1 - h // 2 + h, x1 - w // 2 : x1 - w // 2 + w] = scene[
        y0 - h // 2 : y0 - h // 2 + h, x0 - w // 2 : x0 - w // 2 + w
    ][::-1]
    return out


def _uneven(scene: Layer, rng: Rng) -> Layer:
    """A broad band of another brightness."""
    band = cv2.GaussianBlur(_path(rng, 120, 0.1, 24), (0, 0), 6)[..., None]
    return np.asarray(scene * (1 + rng.choice([-1, 1]) * rng.uniform(0.12, 0.22) * band))


SURFACE = (_blowhole, _crack, _scratch, _stain, _spot, _smear, _dent, _uneven)


def _damaged(scene: Layer, rng: Rng, bad: bool, *, without: tuple[object, ...] = ()) -> Layer:
    if not bad:
        return scene
    kinds = [kind for kind in SURFACE if kind not in without]
    return kinds[int(rng.integers(len(kinds)))](scene, rng)


# Parts.


def _cast(rng: Rng, bad: bool) -> NDArray[np.uint8]:
    stretch = rng.uniform(0.7, 1.6)
    grain = 6 * _noise(rng, 1.2 * stretch, 1.2) + 5 * _noise(rng, 4 * stretch, 4)
    grey = rng.uniform(90, 140) + grain + 7 * _noise(rng, 30, 30) + 3 * _noise(rng, 40, 1)
    return _photograph(_damaged(_tint(grey, 1, 1, 1), rng, bad, without=(_spot,)), rng, 0.2)


def _brushed(rng: Rng, bad: bool) -> NDArray[np.uint8]:
    angle = rng.uniform(20, 28)
    grey = 140 + 12 * _noise(rng, 25, 0.7, angle) + 5 * _noise(rng, 5, 0.6, angle)
    scene = _damaged(_tint(grey, 1.05, 1, 0.92), rng, bad, without=(_uneven,))
    return _photograph(scene, rng, 0.15)


def _woven(rng: Rng, bad: bool) -> NDArray[np.uint8]:
    y, x = np.mgrid[:SIDE, :SIDE].astype(np.float32)
    x, y = x + 1.0 * _noise(rng, 20, 20), y + 1.0 * _noise(rng, 20, 20)
    u, v = x * 0.55 + rng.uniform(0, 6.28), y * 0.55 + rng.uniform(0, 6.28)
    over = np.sign(np.sin(u / 2) * np.sin(v / 2))
    grey = 115 + 28 * np.where(over > 0, np.cos(u), np.cos(v)) + 6 * _noise(rng, 1, 1)
    scene = _turned(_tint(grey.astype(np.float32), 0.85, 0.95, 1.1), rng, 3, 0)
    return _photograph(_damaged(scene, rng, bad, without=(_dent,)), rng, 0.12)


def _cellular(rng: Rng, bad: bool) -> NDArray[np.uint8]:
    """Voronoi cells with dark joints: leather, grains, tiles."""
    count = int(rng.integers(320, 420))
    ground = np.full((SIDE, SIDE), 255, np.uint8)
    points = rng.integers(0, SIDE, (count, 2))
    ground[points[:, 1], points[:, 0]] = 0
    kind = cv2.DIST_LABEL_PIXEL
    depth, labels = cv2.distanceTransformWithLabels(ground, cv2.DIST_L2, 5, labelType=kind)
    joint = cv2.morphologyEx(labels.astype(np.float32), cv2.MORPH_GRADIENT, np.ones((2, 2))) > 0
    shade = rng.normal(0, 6, labels.max() + 1).astype(np.float32)[labels]
    grey = 120 + shade - 2.0 * depth - 45 * cv2.GaussianBlur(joint.astype(np.float32), (0, 0), 0.8)
    scene = _tint(grey + 4 * _noise(rng, 1, 1), 1.15, 0.9, 0.7)
    return _photograph(_damaged(scene, rng, bad, without=(_blowhole,)), rng, 0.15)


def _wooden(rng: Rng, bad: bool) -> NDArray[np.uint8]:
    y, x = np.mgrid[:SIDE, :SIDE].astype(np.float32)
    rings = x * 0.35 + 2.5 * _noise(rng, 8, 60) + rng.uniform(0, 6.28)
    grey = 130 + 14 * np.sin(rings) + 6 * _noise(rng, 0.7, 14) + 5 * _noise(rng, 40, 40)
    scene = _tint(grey.astype(np.float32), 1.25, 0.95, 0.65)
    return _photograph(_damaged(scene, rng, bad, without=(_uneven,)), rng, 0.12)


def _meshed(rng: Rng, bad: bool) -> NDArray[np.uint8]:
    """Thin wires over a dark ground. A wire may be missing, or bent."""
    pitch = 16
    ink = np.zeros((SIDE, SIDE), np.float32)
    phase = int(rng.integers(0, pitch))
    broken = int(rng.integers(4, 10)) if bad and rng.random() < 0.4 else -1
    for i in range(SIDE // pitch + 1):
        at = phase + i * pitch
        for axis in (0, 1):
            line = np.zeros((SIDE, SIDE), np.float32)
            bow = 9 if i == broken and axis == 0 and rng.random() < 0.5 else 0
            t = np.arange(SIDE)
            points = np.stack([t, at + bow * np.exp(-(((t - 110) / 14) ** 2))], axis=1)
            if axis:
                points = points[:, ::-1]
            fixed = np.round(points * 16).astype(np.int32)
            cv2.polylines(line, [fixed], False, 1.0, 2, cv2.LINE_AA, shift=4)
            if i == broken and axis == 0 and not bow:
                line[:, 90:108] = 0
            ink = np.maximum(ink, line)
    grey = 45 + 110 * ink + 4 * _noise(rng, 1, 1) + 4 * _noise(rng, 20, 20)
    scene = _turned(_tint(grey, 1, 1, 1), rng, 2, 4)
    if broken < 0:
        scene = _damaged(scene, rng, bad, without=(_uneven, _dent, _stain))
    return _photograph(scene, rng, 0.15)


def _printed(rng: Rng, bad: bool) -> NDArray[np.uint8]:
    """A card with lettering and bars. One of them may be missing, moved or doubled."""
    fault = str(rng.choice(["missing", "moved", "doubled", "surface"])) if bad else ""
    ink = np.zeros((SIDE, SIDE), np.uint8)
    wrong = int(rng.integers(0, 6))
    for i in range(6):
        dx, dy = (int(v) for v in rng.choice([-1, 1], 2) * rng.integers(4, 8, 2))
        shift = (dx, dy) if fault == "moved" and i == wrong else (0, 0)
        if fault == "missing" and i == wrong:
            continue
        again = fault == "doubled" and i == wrong
        for offset in [shift, (dx, dy)][: 1 + again]:
            x, y = 40 + offset[0], 48 + 28 * i + offset[1]
            if i % 3 == 2:
                for k, bar in enumerate("1011001011101001"):
                    if bar == "1":
                        cv2.rectangle(ink, (x + 8 * k, y - 14), (x + 8 * k + 5, y), 255, -1)
            else:
                text = ("LOT 4711", "EDGE-42", "", "10.5 mm", "MADE TO LAST")[i]
                cv2.putText(ink, text, (x, y), cv2.FONT_HERSHEY_DUPLEX, 0.75, 255, 2, cv2.LINE_AA)
    cover = cv2.GaussianBlur(ink, (0, 0), 0.7)[..., None].astype(np.float32) / 255
    card = _tint(215 + 3 * _noise(rng, 2, 2) + 3 * _noise(rng, 30, 30), 1.0, 0.98, 0.92)
    inked = card * (1 - 0.85 * cover) + np.array([30, 40, 110], np.float32) * 0.85 * cover
    scene = _turned(np.asarray(inked, np.float32), rng, 2, 4)
    if fault == "surface":
        scene = _damaged(scene, rng, bad, without=(_uneven,))
    return _photograph(scene, rng, 0.1)


def _round(rng: Rng, bad: bool) -> NDArray[np.uint8]:
    """A shaded, grained ball at any angle on a plain ground: a nut, a pill, a bearing."""
    y, x = np.mgrid[:SIDE, :SIDE].astype(np.float32)
    cx, cy = 112 + rng.uniform(-5, 5, 2)
    radius = rng.uniform(82, 90) * (1 + 0.03 * np.cos(2 * np.arctan2(y - cy, x - cx)))
    inside = np.clip(radius - np.hypot(x - cx, y - cy), 0, 1)
    depth = np.sqrt(np.clip(1 - ((x - cx) ** 2 + (y - cy) ** 2) / radius**2, 0, 1))
    grain = 1 + 0.07 * _noise(rng, 1.5, 18, rng.uniform(0, 360)) + 0.04 * _noise(rng, 2, 2)
    ball = _tint(np.asarray((60 + 90 * depth) * grain, np.float32), 1.25, 0.85, 0.55)
    hurt = _damaged(ball, rng, bad, without=(_uneven,))
    for _ in range(20):  # damage that nobody can see is none
        if not bad or (np.abs(hurt - ball).max(axis=2) * inside).max() > 15:
            break
        hurt = _damaged(ball, rng, bad, without=(_uneven,))
    ground = _tint(25 + 2 * _noise(rng, 3, 3), 1, 1, 1.1)
    scene = ground * (1 - inside[..., None]) + hurt * inside[..., None]
    return _photograph(np.asarray(scene, np.float32), rng, 0.15)


_BOARD = np.random.default_rng(7)
_CHIPS = [  # left, top, width, height
    (20 + 62 * (i % 3) + int(_BOARD.integers(8)), 20 + 48 * (i // 3), *_BOARD.integers(20, 40, 2))
    for i in range(12)
]  # fmt: skip


def _populated(rng: Rng, bad: bool) -> NDArray[np.uint8]:
    """A board with chips, legs and pads. A chip may be missing, moved or turned over."""
    fault = str(rng.choice(["missing", "moved", "misplaced", "surface"])) if bad else ""
    scene = _tint(70 + 3 * _noise(rng, 1, 1) + 4 * _noise(rng, 30, 30), 0.4, 1.1, 0.6)
    wrong = int(rng.integers(0, len(_CHIPS)))
    for i, (x, y, w, h) in enumerate(_CHIPS):
        x, y = x + int(rng.integers(-1, 2)), y + int(rng.integers(-1, 2))
        if fault == "moved" and i == wrong:
            x, y = x + int(rng.choice([-6, 6])), y + int(rng.choice([-5, 5]))
        if fault == "missing" and i == wrong:
            continue
        for leg in range(0, int(w) - 3, 6):
            cv2.rectangle(
                scene, (x + leg, y - 5), (x + leg + 2, y + int(h) + 5), (190, 185, 170), -1
            )
        cv2.rectangle(scene, (x, y), (x + int(w), y + int(h)), (45, 44, 48), -1)
        cv2.circle(scene, (x + 5, y + 5), 2, (150, 150, 150), -1)
    scene = _turned(scene + _tint(3 * _noise(rng, 1, 1), 1, 1, 1), rng, 1.5, 3)
    if fault == "misplaced":
        scene = _misplaced(scene, rng)
    if fault == "surface":
        scene = _damaged(scene, rng, bad, without=(_uneven, _dent))
    return _photograph(scene, rng, 0.12)


def _plate(rng: Rng, bad: bool) -> NDArray[np.uint8]:
    """The demo's part, with its damage made half as strong."""
    defect = str(rng.choice(DEFECTS)) if bad else None
    if defect in (None, "misprint"):
        image = draw_part(rng, defect).image
    else:
        good = draw_part(rng).image
        where = np.zeros(good.shape[:2], bool)
        where[70:180, 110:220] = True
        hurt, _ = damage(good, str(defect), rng, where=where)
        image = np.asarray((good.astype(np.float32) + hurt) / 2, np.uint8)
    return np.asarray(cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_AREA), np.uint8)


KINDS: dict[str, Callable[[Rng, bool], NDArray[np.uint8]]] = {
    "cast": _cast,
    "brushed": _brushed,
    "woven": _woven,
    "cellular": _cellular,
    "wooden": _wooden,
    "meshed": _meshed,
    "printed": _printed,
    "round": _round,
    "populated": _populated,
    "plate": _plate,
}
