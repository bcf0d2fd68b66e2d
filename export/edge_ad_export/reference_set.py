"""The images that ``verify`` replays, and the slow truth about each at every stage."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ad.damage import KINDS, damage
from edge_ad.fitted import FittedDetector
from edge_ad.reference import ReferenceDetector, Trace
from edge_ad_export.config import ExportConfig
from edge_ad_runtime.artifact import REFERENCE_VALUES
from edge_ad_runtime.images import RGBImage, write_png
from edge_ad_runtime.manifest import ReferenceImage


@dataclass(frozen=True, kw_only=True, eq=False)
class Reference:
    """One image to replay and what must come of it."""

    entry: ReferenceImage
    image: RGBImage
    trace: Trace


def make_references(fitted: FittedDetector, config: ExportConfig) -> list[Reference]:
    """Good held-out images as the camera gave them, each followed by a damaged copy.

    Of all kinds of damage the one with the highest score is taken, so that scores above the
    threshold are exercised too.
    """
    detector = ReferenceDetector(fitted)
    rng = np.random.default_rng(config.seed)
    references = []
    for i, image in enumerate(fitted.originals[: config.reference_images]):
        references.append(_reference(detector, i, "none", image))
        damaged = [_reference(detector, i, kind, damage(image, kind, rng)[0]) for kind in KINDS]
        references.append(max(damaged, key=lambda reference: reference.trace.score))
    return references


def write_references(folder: Path, references: list[Reference], threshold: float) -> None:
    """Write the PNGs and ``reference/values.npz`` (keys ``0.features`` ...) into ``folder``."""
    values: dict[str, NDArray[Any]] = {}
    for i, reference in enumerate(references):
        trace = reference.trace
        write_png(folder / reference.entry.file, reference.image)
        values[f"{i}.preprocessed"] = trace.preprocessed
        values[f"{i}.features"] = trace.features
        values[f"{i}.distances"] = trace.distances
        values[f"{i}.map"] = trace.map
        values[f"{i}.score"] = np.asarray(trace.score)
        values[f"{i}.anomalous"] = np.asarray(trace.score > threshold)
    np.savez(folder / REFERENCE_VALUES, allow_pickle=False, **values)


def _reference(detector: ReferenceDetector, i: int, kind: str, image: RGBImage) -> Reference:
    file = f"reference/{i}-{'good' if kind == 'none' else kind}.png"
    return Reference(
        entry=ReferenceImage(file=file, damage=kind), image=image, trace=detector.trace(image)
    )
