"""The slow truth: one cell, one pixel and one bin after the other."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from histogram.settings import Settings


class HistogramReference:
    """See `edge_ad.methods.Reference`."""

    map_in_unit_of_score = True

    def __init__(self, mean: NDArray[np.float32], settings: Settings) -> None:
        self._mean = mean.astype(np.float64)
        self._settings = settings

    def trace(self, preprocessed: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:
        rows, cols, _ = self._mean.shape
        side = self._settings.cell_px
        anomaly = np.empty((rows, cols))
        for row in range(rows):
            for col in range(cols):
                cell = preprocessed[row * side : (row + 1) * side, col * side : (col + 1) * side]
                anomaly[row, col] = np.linalg.norm(self._histogram(cell) - self._mean[row, col])
        heat = np.kron(anomaly, np.ones((side, side)))
        return {
            "anomaly": anomaly.astype(np.float32),
            "map": heat.astype(np.float32),
            "score": np.asarray(heat.max()),
        }

    def _histogram(self, cell: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Each level counts for the two bins beside it, by how near it is to them."""
        bins = self._settings.bins
        counts = np.zeros((3, bins))
        for pixel in cell.reshape(-1, 3):
            for colour, level in enumerate(pixel * ((bins - 1) / 255)):
                for b in range(bins):
                    counts[colour, b] += max(0.0, 1 - abs(level - b))
        return counts.ravel() / (cell.shape[0] * cell.shape[1])
