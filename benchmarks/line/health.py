"""Drawn good parts must pass the camera check, and spoilt pictures of them must not."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np

from edge_ad.synthetic.parts import DEFECTS, draw_part
from edge_ad_line.camera_health import Limits, fault_of, limits_of, look_at
from edge_ad_runtime.images import RGBImage

_REFERENCES = 3  # as many good images as an artifact carries
_LARGE = (2048, 2448)  # 5 megapixels

SPOILT: dict[str, Callable[[RGBImage], RGBImage]] = {
    "dark": lambda image: np.asarray(image // 4, np.uint8),
    "overexposed": lambda image: np.minimum(image.astype(np.int32) * 3, 255).astype(np.uint8),
    "blurred": lambda image: np.asarray(cv2.GaussianBlur(image, (0, 0), 5.0), np.uint8),
    "displaced": lambda image: np.roll(image, round(0.18 * image.shape[1]), axis=1),
}


def health(*, count: int) -> dict[str, Any]:
    """Hold drawn parts against three good ones.

    Returns:
        Which reasons were found in ``good`` and ``defective`` parts and in each kind of ``spoilt``
        picture, ``ms`` to look at 5 megapixels, and ``faults`` in words.
    """
    streams = np.random.default_rng(0)
    limits = limits_of([look_at(draw_part(streams.spawn(1)[0]).image) for _ in range(_REFERENCES)])
    good: Counter[str] = Counter()
    spoilt: dict[str, Counter[str]] = {kind: Counter() for kind in SPOILT}
    for i in range(count):
        image = draw_part(streams.spawn(1)[0]).image
        good[_reason(image, limits)] += 1
        if i % 10 == 0:
            for kind, spoil in SPOILT.items():
                spoilt[kind][_reason(spoil(image), limits)] += 1
    parts = [draw_part(streams.spawn(1)[0], DEFECTS[i % 4]).image for i in range(count // 10)]
    defective = Counter(_reason(image, limits) for image in parts)
    times = _times_ms(limits)
    checks = {
        "a good part was flagged": set(good) != {"none"},
        "a defective part was flagged": set(defective) != {"none"},
        "a spoilt picture was not flagged": [k for k, found in spoilt.items() if set(found) != {k}],
        "looking at 5 megapixels takes more than 3 ms": float(np.median(times)) > 3,
    }
    return {
        "good": dict(good),
        "defective": dict(defective),
        "spoilt": {kind: dict(found) for kind, found in spoilt.items()},
        "ms": times,
        "faults": [what for what, found in checks.items() if found],
    }


def _reason(image: RGBImage, limits: Limits) -> str:
    found = fault_of(look_at(image), limits)
    return "none" if found is None else found[0]


def _times_ms(limits: Limits) -> list[float]:
    image = np.asarray(
        cv2.resize(draw_part(np.random.default_rng(1)).image, _LARGE[::-1]), np.uint8
    )
    times = []
    for _ in range(100):
        begun = time.perf_counter()
        fault_of(look_at(image), limits)
        times.append(round((time.perf_counter() - begun) * 1000, 3))
    return times
