"""What ``score`` and ``watch`` write of one image: its line, and its overlay."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ad_runtime.artifact.atomic import write_file
from edge_ad_runtime.detector import Detector
from edge_ad_runtime.errors import EdgeADError, ImageError
from edge_ad_runtime.images import read_image, write_png
from edge_ad_runtime.prediction import Prediction, error_record


def verdict_line(
    detector: Detector,
    path: Path,
    *,
    overlay: Path | None,
    with_map: bool,
    raw_map: Path | None = None,
) -> dict[str, Any]:
    """Score one image. An overlay that cannot be written is no reason to lose the verdict.

    There is none of an image that has no map, because the artifact maps anomalous ones alone.

    Args:
        detector: the loaded artifact.
        path: the image.
        overlay: the picture to write, if any.
        with_map: whether a map is made.
        raw_map: the .npy file to write the map to, if any, ``(H, W)`` float32 of the network's
            input size.
    """
    try:
        prediction = detector.predict(path, with_map=with_map)
    except EdgeADError as exc:
        threshold = detector.manifest.calibration.threshold
        return error_record(path, exc, threshold=threshold)
    line = prediction.to_record(path)
    if prediction.map is None:
        return line
    try:
        if overlay is not None:
            _write_overlay(detector, path, prediction, overlay)
        if raw_map is not None:
            _write_raw(raw_map, prediction.map)
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


def _write_raw(path: Path, heat: NDArray[np.float32]) -> None:
    content = BytesIO()
    np.save(content, heat, allow_pickle=False)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_file(path, content.getvalue())
    except (OSError, ValueError) as exc:
        raise ImageError(f"cannot be written: {exc}", path=path) from exc


def _write_overlay(detector: Detector, path: Path, prediction: Prediction, out: Path) -> None:
    from edge_ad_runtime.pictures.overlay import draw_overlay

    write_png(out, draw_overlay(read_image(path), prediction, detector.manifest.preprocessing))
