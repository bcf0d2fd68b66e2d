"""What ``score`` and ``watch`` write of one image: its line, and its overlay."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edge_ad_runtime.detector import Detector, Prediction
from edge_ad_runtime.errors import EdgeADError
from edge_ad_runtime.images import read_image, write_png


def verdict_line(
    detector: Detector, path: Path, *, overlay: Path | None, with_map: bool
) -> dict[str, Any]:
    """Score one image; an overlay that cannot be written is no reason to lose the verdict."""
    try:
        prediction = detector.predict(path, with_map=with_map)
    except EdgeADError as exc:
        return {
            "path": str(path),
            "score": None,
            "threshold": detector.manifest.calibration.threshold,
            "verdict": "error",
            "timings_ms": {},
            "error": str(exc),
        }
    line = _prediction_line(path, prediction)
    if overlay is not None:
        try:
            _write_overlay(detector, path, prediction, overlay)
        except EdgeADError as exc:
            line["map_error"] = str(exc)
    return line


def _prediction_line(path: Path, prediction: Prediction) -> dict[str, Any]:
    return {
        "path": str(path),
        "score": prediction.score,
        "threshold": prediction.threshold,
        "verdict": prediction.verdict,
        "exact": prediction.exact,
        "scanned": prediction.scanned,
        "bound": prediction.bound,
        "timings_ms": {stage: round(ms, 3) for stage, ms in prediction.timings_ms.items()},
    }


def _write_overlay(detector: Detector, path: Path, prediction: Prediction, out: Path) -> None:
    from edge_ad_runtime.pictures.overlay import draw_overlay

    write_png(out, draw_overlay(read_image(path), prediction, detector.manifest.preprocessing))
