"""What ``score`` and ``watch`` write of one image: its line, and its overlay."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edge_ad_runtime.detector import Detector
from edge_ad_runtime.errors import EdgeADError
from edge_ad_runtime.images import read_image, write_png
from edge_ad_runtime.prediction import Prediction, error_record


def verdict_line(
    detector: Detector, path: Path, *, overlay: Path | None, with_map: bool
) -> dict[str, Any]:
    """Score one image. An overlay that cannot be written is no reason to lose the verdict.

    There is none of an image that has no map, because the artifact maps anomalous ones alone.
    """
    try:
        prediction = detector.predict(path, with_map=with_map)
    except EdgeADError as exc:
        threshold = detector.manifest.calibration.threshold
        return error_record(path, exc, threshold=threshold)
    line = prediction.to_record(path)
    if overlay is not None and prediction.map is not None:
        try:
            _write_overlay(detector, path, prediction, overlay)
        except EdgeADError as exc:
            line["map_error"] = str(exc)
    return line


def overlay_names(paths: Sequence[Path]) -> dict[Path, Path]:
    """Each image's path below the deepest folder that all share, so that names cannot collide."""
    folders = [path.absolute().parent.parts for path in paths]
    shared = 0
    for level in zip(*folders, strict=False):
        if len(set(level)) > 1:
            break
        shared += 1
    return {p: Path(*p.absolute().parts[shared:-1], p.name + ".png") for p in paths}


def _write_overlay(detector: Detector, path: Path, prediction: Prediction, out: Path) -> None:
    from edge_ad_runtime.pictures.overlay import draw_overlay

    write_png(out, draw_overlay(read_image(path), prediction, detector.manifest.preprocessing))
