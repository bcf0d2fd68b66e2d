"""The images that ``verify`` replays, and the slow truth about each at every stage."""

from __future__ import annotations

from itertools import cycle
from pathlib import Path

import numpy as np

from edge_ad.damage import KINDS, damage
from edge_ad.fitted import FittedDetector
from edge_ad.reference import ReferenceDetector
from edge_ad_export.config import ExportConfig
from edge_ad_runtime.artifact import REFERENCE_VALUES
from edge_ad_runtime.images import RGBImage, write_png
from edge_ad_runtime.manifest import ReferenceImage


def reference_images(
    fitted: FittedDetector, config: ExportConfig
) -> list[tuple[ReferenceImage, RGBImage]]:
    """Good held-out images as the camera gave them, each followed by a damaged copy."""
    rng = np.random.default_rng(config.seed)
    chosen: list[tuple[ReferenceImage, RGBImage]] = []
    originals = fitted.originals[: config.reference_images]
    for i, (image, kind) in enumerate(zip(originals, cycle(KINDS), strict=False)):
        damaged, _ = damage(image, kind, rng)
        for damage_name, pixels in (("none", image), (kind, damaged)):
            name = "good" if damage_name == "none" else damage_name
            file = f"reference/{i}-{name}.png"
            chosen.append((ReferenceImage(file=file, damage=damage_name), pixels))
    return chosen


def write_reference(
    folder: Path, images: list[tuple[ReferenceImage, RGBImage]], reference: ReferenceDetector
) -> None:
    """Write the PNGs and ``reference/values.npz`` (keys ``0.features`` ...) into ``folder``."""
    values = {}
    for i, (entry, pixels) in enumerate(images):
        write_png(folder / entry.file, pixels)
        trace = reference.trace(pixels)
        values[f"{i}.preprocessed"] = trace.preprocessed
        values[f"{i}.features"] = trace.features
        values[f"{i}.distances"] = trace.distances
        values[f"{i}.map"] = trace.map
        values[f"{i}.score"] = np.asarray(trace.score)
    np.savez(folder / REFERENCE_VALUES, allow_pickle=False, **values)
