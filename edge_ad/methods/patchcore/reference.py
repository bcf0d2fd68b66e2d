"""The slow truth: PatchCore's scoring written straight from the paper.

Torch features, distances to *every* bank row in float64, equations 6 and 7 as printed, torch's
bilinear interpolation, scipy's gaussian; and the greedy coreset one pick at a time. Nothing here is
shared with what is fast but the preprocessing and the type of the answer, so that comparing the
two means something.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from scipy.special import logsumexp
from torch.nn import functional

from edge_ad.features.patches import Run, extract, restore_network
from edge_ad.fitting.fitted import FittedDetector
from edge_ad_runtime.detector import Prediction
from edge_ad_runtime.images import RGBImage, read_image


@dataclass(frozen=True, kw_only=True, eq=False)
class Trace:
    """The reference's value at every stage, for one image.

    Attributes:
        preprocessed: ``(H, W, 3)`` uint8.
        features: ``(rows, cols, D)`` float32.
        distances: ``(rows * cols,)`` float32, to the nearest bank row.
        map: ``(H, W)`` float32.
        score: image score.
    """

    preprocessed: RGBImage
    features: NDArray[np.float32]
    distances: NDArray[np.float32]
    map: NDArray[np.float32]
    score: float


class ReferenceDetector:
    """What the exported detector must agree with.

    Args:
        fitted: from `edge_ad.fit`.
        run: what computes the features, where torch does not: a network of reduced precision.
    """

    def __init__(self, fitted: FittedDetector, run: Run | None = None) -> None:
        self._fitted = fitted
        self._scoring = fitted.config.scoring
        self._run = run or partial(extract, restore_network(fitted.config, fitted.backbone))
        self._bank = fitted.bank.features.astype(np.float64)  # (n, D)

    def predict(self, image: Path | str | RGBImage) -> Prediction:
        """Score one image; see `edge_ad_runtime.Detector.predict`. Only the total is timed."""
        start = time.perf_counter()
        pixels = read_image(image) if isinstance(image, str | Path) else image
        trace = self.trace(pixels)
        threshold = self._fitted.calibration.threshold
        return Prediction(
            score=trace.score,
            threshold=threshold,
            verdict="anomalous" if trace.score > threshold else "good",
            map=trace.map,
            exact=True,
            scanned=len(trace.distances),
            bound=0.0,
            timings_ms={"total": (time.perf_counter() - start) * 1e3},
        )

    def trace(self, image: RGBImage) -> Trace:
        """Every stage's value for an ``(H, W, 3)`` uint8 RGB image."""
        config = self._fitted.config
        preprocessed = config.preprocessing.apply(image)
        features = self._run(preprocessed[np.newaxis])[0]
        return self.trace_features(features, preprocessed)

    def trace_features(self, features: NDArray[np.float32], preprocessed: RGBImage) -> Trace:
        """The same from ``(rows, cols, D)`` features on."""
        rows, cols, dimension = features.shape
        patches = features.reshape(-1, dimension).astype(np.float64)  # (q, D)
        # float64: float32's expansion of the square would cancel
        to_bank = torch.cdist(torch.from_numpy(patches), torch.from_numpy(self._bank))  # (q, n)
        k = self._scoring.neighbours
        nearest = to_bank.topk(k, dim=1, largest=False).indices.numpy()  # (q, k)
        each = np.linalg.norm(patches[:, None] - self._bank[nearest], axis=2)  # (q, k)
        distances = (each**2 if self._scoring.squared else each).mean(axis=1)  # (q,)
        return Trace(
            preprocessed=preprocessed,
            features=features,
            distances=distances.astype(np.float32),
            map=self._map(distances.reshape(rows, cols), preprocessed.shape[:2]),
            score=self._score(patches, distances, nearest[:, 0]),
        )

    def _score(
        self,
        patches: NDArray[np.float64],
        distances: NDArray[np.float64],
        nearest: NDArray[np.intp],
    ) -> float:
        test = distances.argmax()  # m_test*
        s = float(distances[test])  # equation 6
        b = self._scoring.reweight_neighbours
        if b == 0:
            return s
        m = self._bank[nearest[test]]  # m*
        support = np.linalg.norm(self._bank - m, axis=1).argsort(kind="stable")[:b]  # N_b(m*)
        to_support = np.linalg.norm(self._bank[support] - patches[test], axis=1)
        to_nearest = np.linalg.norm(m - patches[test])
        return float((1 - np.exp(to_nearest - logsumexp(to_support))) * s)  # equation 7

    def _map(self, distances: NDArray[np.float64], size: tuple[int, ...]) -> NDArray[np.float32]:
        grid = torch.from_numpy(distances)[None, None]  # (1, 1, rows, cols)
        if self._scoring.upsampling == "nearest":
            enlarged = functional.interpolate(grid, size=size, mode="nearest")
        else:
            enlarged = functional.interpolate(grid, size=size, mode="bilinear", align_corners=False)
        sigma, border = self._scoring.blur_sigma_px, self._scoring.border
        return np.asarray(gaussian_filter(enlarged[0, 0].numpy(), sigma, mode=border), np.float32)


def plain_greedy(rows: NDArray[np.floating], n_select: int, first: int) -> NDArray[np.int64]:
    """Algorithm 1 as printed: a pass over all ``(N, d)`` rows per pick; ties to the lowest row."""
    sq_distances = np.full(len(rows), np.inf, rows.dtype)
    chosen = np.empty(n_select, np.int64)
    pick = first
    for i in range(n_select):
        chosen[i] = pick
        np.minimum(sq_distances, ((rows - rows[pick]) ** 2).sum(axis=1), out=sq_distances)
        sq_distances[chosen[: i + 1]] = -1  # taken, even among duplicates
        pick = int(sq_distances.argmax())
    return chosen
