"""Grey textures drawn from formulas: noise of all kinds, gratings, weaves, cells, leaves, fractals.

Each is ``(SIDE, SIDE)`` uint8 and stands for a material, of which a part shows a piece.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

SIDE = 320

Layer = NDArray[np.float32]
Rng = np.random.Generator

_Y, _X = np.mgrid[:SIDE, :SIDE].astype(np.float32)


def draw_texture(rng: Rng) -> NDArray[np.uint8]:
    """One texture, or two laid over each other, over its full range of grey."""
    grey = _draw_one(rng)
    if rng.random() < 0.35:
        other = _draw_one(rng)
        share = rng.uniform(0.1, 0.5)
        grey = grey * other if rng.random() < 0.3 else (1 - share) * grey + share * other
    low, high = np.percentile(grey, [1, 99])
    return np.asarray(255 * np.clip((grey - low) / max(high - low, 1e-3), 0, 1), np.uint8)


def _draw_one(rng: Rng) -> Layer:
    grey = KINDS[int(rng.integers(len(KINDS)))](rng)
    grey = (grey - grey.mean()) / max(float(grey.std()), 1e-3)
    if rng.random() < 0.4:
        grey = _bent(grey, rng)
    return np.asarray(grey, np.float32)


def _bent(grey: Layer, rng: Rng) -> Layer:
    """The texture pulled about smoothly, as cloth or wood is."""
    scale, by_px = rng.uniform(10, 60), rng.uniform(1, 12)
    dx, dy = (by_px * _noise(rng, scale, scale) for _ in range(2))
    moved = cv2.remap(grey, _X + dx, _Y + dy, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    return np.asarray(moved, np.float32)


def _noise(rng: Rng, sigma_x: float, sigma_y: float) -> Layer:
    """Smoothed gaussian noise of unit variance. Broad noise is drawn small and enlarged."""
    factor = max(1, int(min(sigma_x, sigma_y) / 2))
    side = -(-SIDE // factor)
    white = rng.standard_normal((side, side), dtype=np.float32)
    smooth = cv2.GaussianBlur(white, (0, 0), sigmaX=sigma_x / factor, sigmaY=sigma_y / factor)
    if factor > 1:
        smooth = cv2.resize(smooth, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
    return np.asarray(smooth / max(float(smooth.std()), 1e-6), np.float32)


def _turned(rng: Rng, degrees: float = 180) -> tuple[Layer, Layer]:
    """Coordinates turned by up to ``degrees`` either way."""
    angle = np.deg2rad(rng.uniform(-degrees, degrees))
    u = np.cos(angle) * _X + np.sin(angle) * _Y
    v = np.cos(angle) * _Y - np.sin(angle) * _X
    return np.asarray(u, np.float32), np.asarray(v, np.float32)


def _log_uniform(rng: Rng, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def _grain(rng: Rng) -> Layer:
    """Noise at one to three scales, isotropic or stretched."""
    grey = np.zeros((SIDE, SIDE), np.float32)
    for _ in range(int(rng.integers(1, 4))):
        sigma = _log_uniform(rng, 0.5, 25)
        stretch = _log_uniform(rng, 1, 30) if rng.random() < 0.5 else 1.0
        grey += np.float32(rng.uniform(0.3, 1)) * _noise(rng, sigma, sigma * stretch)
    if rng.random() < 0.5:
        turn = cv2.getRotationMatrix2D((SIDE / 2, SIDE / 2), rng.uniform(0, 180), 1.5)
        turned = cv2.warpAffine(grey, turn, (SIDE, SIDE), borderMode=cv2.BORDER_REFLECT)
        return np.asarray(turned, np.float32)
    return grey


def _spectral(rng: Rng) -> Layer:
    """Noise with a power-law spectrum, 1 / f^a."""
    f = np.hypot(*np.meshgrid(np.fft.rfftfreq(SIDE), np.fft.fftfreq(SIDE)))
    f[0, 0] = 1
    phases = np.exp(2j * np.pi * rng.random(f.shape))
    grey = np.fft.irfft2(phases / f ** rng.uniform(0.5, 2.2), s=(SIDE, SIDE))
    return np.asarray(grey, np.float32)


def _ridged(rng: Rng) -> Layer:
    """Turbulence: folds of noise, as marble and hammered metal."""
    grey = np.zeros((SIDE, SIDE), np.float32)
    scale = rng.uniform(6, 40)
    for octave in range(int(rng.integers(1, 5))):
        size = max(scale / 2**octave, 0.6)
        grey += np.abs(_noise(rng, size, size)) / 2**octave
    return grey if rng.random() < 0.5 else np.sin(grey * np.float32(rng.uniform(2, 9)))


def _grating(rng: Rng) -> Layer:
    u, _ = _turned(rng)
    period = _log_uniform(rng, 3, 40)
    wave = np.sin(2 * np.pi * u / period + rng.uniform(0, 2) * _noise(rng, 15, 15))
    sharpness = _log_uniform(rng, 0.5, 8)
    return np.asarray(np.tanh(sharpness * (wave - rng.uniform(-0.7, 0.7))), np.float32)


def _weave(rng: Rng) -> Layer:
    u, v = _turned(rng, 50)
    a, b = (2 * np.pi / _log_uniform(rng, 4, 24) for _ in range(2))
    over = np.sin(a * u / 2) * np.sin(b * v / 2) > 0
    thread = np.where(over, np.cos(a * u), np.cos(b * v)) + rng.uniform(0, 0.6) * over
    return np.asarray(thread + rng.uniform(0, 0.6) * _noise(rng, 0.7, 0.7), np.float32)


def _lattice(rng: Rng) -> Layer:
    """Dots, crosses or bumps on a grid."""
    u, v = _turned(rng, 50)
    pitch = _log_uniform(rng, 6, 45)
    skew = pitch / 2 * (np.floor(v / pitch) % 2) if rng.random() < 0.5 else 0.0
    x, y = (u + skew) % pitch / pitch - 0.5, v % pitch / pitch - 0.5
    power = rng.choice([1.0, 2.0, 6.0])
    depth = (np.abs(x) ** power + np.abs(y) ** power) ** (1 / power)
    if rng.random() < 0.3:
        depth = np.minimum(np.abs(x), np.abs(y))
    wave = np.tanh((depth - rng.uniform(0.12, 0.4)) * _log_uniform(rng, 4, 40))
    return np.asarray(wave, np.float32)


def _cells(rng: Rng) -> Layer:
    """Voronoi cells: their shade, their depth, their joints."""
    count = int(_log_uniform(rng, 20, 1500))
    ground = np.full((SIDE, SIDE), 255, np.uint8)
    points = rng.integers(0, SIDE, (count, 2))
    ground[points[:, 1], points[:, 0]] = 0
    pixel = cv2.DIST_LABEL_PIXEL
    depth, labels = cv2.distanceTransformWithLabels(ground, cv2.DIST_L2, 5, labelType=pixel)
    shade = rng.standard_normal(int(labels.max()) + 1).astype(np.float32)[labels]
    joint = cv2.morphologyEx(labels.astype(np.float32), cv2.MORPH_GRADIENT, np.ones((2, 2))) > 0
    soft = cv2.GaussianBlur(joint.astype(np.float32), (0, 0), rng.uniform(0.6, 1.5))
    weights = rng.uniform(0, 1, 3) * (rng.random(3) < 0.6) + (0, 0.1, 0)
    mixed = weights[0] * shade + 3 * weights[1] * depth / depth.max() - 2 * weights[2] * soft
    return np.asarray(mixed, np.float32)


def _leaves(rng: Rng) -> Layer:
    """Dead leaves: shapes that cover each other, few large and many small ones."""
    grey = np.full((SIDE, SIDE), 0.5, np.float32)
    largest, kind = _log_uniform(rng, 6, 50), int(rng.integers(3))
    turn = rng.uniform(0, 180) if rng.random() < 0.5 else None
    for _ in range(int(min(600, 60000 / largest**1.5))):
        x, y = (int(v) for v in rng.integers(-10, SIDE + 10, 2))
        size = max(1.5, largest * rng.random() ** 2)
        shade, angle = float(rng.random()), rng.uniform(0, 180) if turn is None else turn
        if kind == 0:
            cv2.circle(grey, (x, y), int(size), shade, -1)
        elif kind == 1:
            cv2.ellipse(grey, (x, y), (int(size), int(size / 3) + 1), angle, 0, 360, shade, -1)
        else:
            box = cv2.boxPoints(((x, y), (2 * size, size * rng.uniform(0.5, 2)), angle))
            cv2.fillPoly(grey, [box.astype(np.int32)], shade)
    return np.asarray(cv2.GaussianBlur(grey, (0, 0), 0.6), np.float32)


def _fibres(rng: Rng) -> Layer:
    """Threads strewn about, in one direction or in all."""
    grey = np.zeros((SIDE, SIDE), np.float32)
    main, spread = rng.uniform(0, np.pi), rng.choice([0.05, 0.3, 3.0])
    for _ in range(int(_log_uniform(rng, 60, 600))):
        angle = main + spread * rng.standard_normal()
        length, shade = rng.uniform(10, 90), float(rng.uniform(-1, 1))
        a = rng.uniform(0, SIDE, 2)
        b = a + length * np.array([np.cos(angle), np.sin(angle)])
        start, end = (tuple(int(v) for v in p) for p in (a, b))
        cv2.line(grey, start, end, shade, int(rng.integers(1, 3)), cv2.LINE_AA)
    return np.asarray(cv2.GaussianBlur(grey, (0, 0), rng.uniform(0.4, 1.2)), np.float32)


def _specks(rng: Rng) -> Layer:
    """Sparse dots on a ground that is nearly plain."""
    grey = np.float32(0.2) * _noise(rng, 1, 1)
    for x, y in rng.integers(0, SIDE, (int(_log_uniform(rng, 20, 800)), 2)):
        shade = float(rng.choice([-1, 1]) * rng.uniform(0.5, 3))
        cv2.circle(grey, (int(x), int(y)), int(rng.integers(0, 4)), shade, -1, cv2.LINE_AA)
    return np.asarray(cv2.GaussianBlur(grey, (0, 0), 0.6), np.float32)


def _fractal(rng: Rng) -> Layer:
    """The attractor of an iterated function system (Barnsley 1988; Kataoka et al. 2020)."""
    count = int(rng.integers(2, 6))
    maps = rng.uniform(-1, 1, (count, 2, 3))
    for linear in maps[:, :, :2]:  # contractions all
        linear *= rng.uniform(0.5, 0.9) / np.linalg.norm(linear, 2)
    points = rng.uniform(-1, 1, (4000, 2))
    hits = np.zeros((SIDE, SIDE), np.float32)
    picks = rng.integers(0, count, (30, len(points)))
    for step, pick in enumerate(picks):
        points = np.einsum("nij,nj->ni", maps[pick, :, :2], points) + maps[pick, :, 2]
        if step >= 10:
            low, high = points.min(axis=0), points.max(axis=0)
            at = ((points - low) / np.maximum(high - low, 1e-6) * (SIDE - 1)).astype(np.intp)
            np.add.at(hits, (at[:, 1], at[:, 0]), 1)
    return np.asarray(cv2.GaussianBlur(np.log1p(hits), (0, 0), rng.uniform(0.6, 2)), np.float32)


def _rings(rng: Rng) -> Layer:
    """Turned or sawn: rings around a centre that may lie outside."""
    centre = rng.uniform(-SIDE, 2 * SIDE, 2)
    radius = np.hypot(_X - centre[0], (_Y - centre[1]) * rng.uniform(0.2, 1))
    radius += rng.uniform(0, 8) * _noise(rng, 8, 40)
    wave = np.sin(2 * np.pi * radius / _log_uniform(rng, 4, 40))
    return np.asarray(wave + rng.uniform(0, 1) * _noise(rng, 0.7, 8), np.float32)


def _smooth(rng: Rng) -> Layer:
    """Nearly plain: paint, plastic, a lit ground."""
    fine = rng.uniform(0.02, 0.3) * _noise(rng, 0.8, 0.8)
    return np.asarray(_noise(rng, 60, 60) + fine, np.float32)


KINDS: tuple[Callable[[Rng], Layer], ...] = (
    _grain, _spectral, _ridged, _grating, _weave, _lattice, _cells, _leaves, _fibres, _specks,
    _fractal, _rings, _smooth,
)  # fmt: skip
