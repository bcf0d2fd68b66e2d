"""`ReferenceDetector`: the slow truth of any method, with the device's interface."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ad.fitting.fitted import FittedDetector
from edge_ad.fitting.reference_regions import reference_regions
from edge_ad.networks.run import Run, TorchRun
from edge_ad_runtime.heads import SIGNIFICANCE
from edge_ad_runtime.images import RGBImage, read_image
from edge_ad_runtime.prediction import Prediction, decisive_values


class ReferenceDetector:
    """What the exported detector must agree with.

    Args:
        fitted: from `edge_ad.fit`.
        run: what computes the network's outputs where torch does not, such as a network of reduced
            precision.

    Attributes:
        map_in_unit_of_score: see `edge_ad.methods.Reference`.
    """

    def __init__(self, fitted: FittedDetector, run: Run | None = None) -> None:
        self._fitted = fitted
        run = run or TorchRun(fitted.network())
        self._reference = fitted.method.reference(run, fitted.kept, fitted.config)
        self.map_in_unit_of_score = self._reference.map_in_unit_of_score

    def predict(self, image: Path | str | RGBImage) -> Prediction:
        """Score one image. See `edge_ad_runtime.Detector.predict`. Only the total is timed."""
        start = time.perf_counter()
        pixels = read_image(image) if isinstance(image, str | Path) else image
        trace = self.trace(pixels)
        score, threshold = float(trace["score"]), self._fitted.calibration.threshold
        placement = self._fitted.config.preprocessing.placement(pixels.shape[:2])
        significance = trace.get(SIGNIFICANCE)
        decisive = decisive_values(trace["map"], significance, self.map_in_unit_of_score)
        regions = None if decisive is None else reference_regions(decisive, threshold, placement)
        return Prediction(
            score=score,
            threshold=threshold,
            # not the device's function: the truth shares no code with what it is compared with
            verdict="anomalous" if score > threshold else "good",
            map=np.asarray(trace["map"], np.float32),
            evidence={},
            timings_ms={"total": (time.perf_counter() - start) * 1e3},
            significance=significance,
            regions=regions,
            map_in_unit_of_score=self.map_in_unit_of_score,
        )

    def trace(self, image: RGBImage) -> dict[str, NDArray[Any]]:
        """Every stage's value for an ``(H, W, 3)`` uint8 RGB image. See `edge_ad.methods`."""
        return self._reference.trace(self._fitted.config.preprocessing.apply(image))
