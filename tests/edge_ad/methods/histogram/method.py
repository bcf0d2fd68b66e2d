"""A histogram of colours per cell; a cell is anomalous as far as it is from the good ones' mean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from edge_ad.images.good import GoodImages
from edge_ad.methods import Gathered, Lowered
from edge_ad.networks.run import Run
from edge_ad_runtime.artifact.head_records import DirectRecord, MapSettings
from histogram.reference import HistogramReference
from histogram.settings import Settings


class Histograms(nn.Module):
    """Images ``(N, H, W, 3)`` to ``histograms`` ``(N, rows, cols, 3 * bins)``."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self.cell = settings.cell_px
        self.bins = nn.Buffer(torch.arange(settings.bins).float())

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        x = image.float().permute(0, 3, 1, 2) * ((len(self.bins) - 1) / 255)  # (N, 3, H, W)
        shares = (1 - (x[:, :, None] - self.bins[:, None, None]).abs()).clamp(min=0)
        cells = functional.avg_pool2d(shares.flatten(1, 2), self.cell)  # (N, 3 * bins, rows, cols)
        return {"histograms": cells.permute(0, 2, 3, 1)}


class FromMean(nn.Module):
    """Histograms to ``anomaly`` ``(N, rows, cols)``: the distance from the good images' mean."""

    def __init__(self, mean: NDArray[np.float32]) -> None:
        super().__init__()
        self.mean = nn.Buffer(torch.from_numpy(mean))

    def forward(self, histograms: Tensor) -> dict[str, Tensor]:
        return {"anomaly": (histograms - self.mean).square().sum(dim=-1).sqrt()}


@dataclass(frozen=True, kw_only=True, eq=False)
class Mean:
    """The mean histogram of each cell, ``(rows, cols, 3 * bins)``."""

    histograms: NDArray[np.float32]


class Histogram:
    """See `edge_ad.methods.Method`."""

    Kept = Mean

    def train(self, images: GoodImages, settings: Settings, *, progress: bool) -> nn.Module:
        return Histograms(settings).eval()

    def restore(self, settings: Settings, state: Mapping[str, Tensor]) -> nn.Module:
        network = Histograms(settings).eval()
        network.load_state_dict(state, strict=True)
        return network

    def gather(
        self, run: Run, images: GoodImages, settings: Settings, *, progress: bool
    ) -> Gathered:
        total = sum(run(batch)["histograms"].sum(axis=0) for _, batch in images.batches())
        return Gathered(kept=Mean(histograms=np.asarray(total / len(images), np.float32)))

    def reference(self, run: Run, kept: Mean, settings: Settings) -> HistogramReference:
        return HistogramReference(kept.histograms, settings)

    def lower(self, network: nn.Module, kept: Mean, settings: Settings) -> Lowered:
        rows, cols, _ = kept.histograms.shape
        return Lowered(
            network=network,
            tail=FromMean(kept.histograms),
            head=DirectRecord(
                grid=(rows, cols),
                score="largest",
                map=MapSettings(upsampling="nearest", blur_sigma_px=0.0, border="reflect"),
            ),
            arrays={},
            origin={"method": settings.method, "bins": str(settings.bins)},
        )

    def describe(self, kept: Mean) -> str:
        rows, cols, _ = kept.histograms.shape
        return f"mean histograms of {rows} x {cols} cells"


METHOD = Histogram()
