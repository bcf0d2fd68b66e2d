"""What SPADE keeps of the good images: their pooled features, and those of their positions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ad.features.store import allocate, only_rows
from edge_ad.images.good import GoodImages
from edge_ad.methods.spade.network import output_of
from edge_ad.methods.spade.settings import SpadeConfig
from edge_ad.networks.run import Run
from edge_ad_runtime.artifact.head_records import (
    ExactSearchRecord,
    GalleryLayer,
    GalleryRecord,
    GallerySearchRecord,
    fewest_in_window,
)
from edge_ad_runtime.errors import FitError
from edge_ad_runtime.heads.gallery_images import GALLERY, features_file
from edge_ad_runtime.heads.gallery_search import POOLED
from edge_ad_runtime.progress import ProgressBar


@dataclass(frozen=True, kw_only=True, eq=False)
class GoodGallery:
    """The good images as SPADE compares with them.

    Attributes:
        pooled: ``(N, d)`` float32, the pooled feature of each image.
        layer1: ``(N, rows, cols, C)`` float16, the features at all positions of layer 1. It is None
            if the layer is not compared.
        layer2: the same of layer 2.
        layer3: the same of layer 3.
        layer4: the same of layer 4.
    """

    pooled: NDArray[np.float32]
    layer1: NDArray[np.float16] | None = None
    layer2: NDArray[np.float16] | None = None
    layer3: NDArray[np.float16] | None = None
    layer4: NDArray[np.float16] | None = None

    @property
    def layers(self) -> dict[str, NDArray[np.float16]]:
        """The compared layers by the names of the network's outputs, the shallowest first."""
        every = {output_of(j): getattr(self, output_of(j)) for j in (1, 2, 3, 4)}
        return {name: values for name, values in every.items() if values is not None}

    def only(self, rows: Sequence[int]) -> GoodGallery:
        """The gallery of some of its images. See `only_rows`."""
        layers = {name: only_rows(values, rows) for name, values in self.layers.items()}
        return GoodGallery(pooled=only_rows(self.pooled, rows), **layers)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The head's files, by name."""
        layers = {features_file(name): values for name, values in self.layers.items()}
        return {GALLERY: self.pooled, **layers}


def build_gallery(run: Run, images: GoodImages, *, progress: bool) -> GoodGallery:
    """See all images through the network, and keep what is compared.

    Raises:
        FitError: a feature is too large for float16, or a scratch file does not fit on its disk.
    """
    arrays: dict[str, NDArray[Any]] = {}
    with ProgressBar[None](
        total=len(images), desc="gallery", unit="image", disable=not progress
    ) as bar:
        for start, batch in images.batches():
            for name, values in run(batch).items():
                dtype = np.float32 if name == POOLED else np.float16
                if name not in arrays:
                    arrays[name] = allocate((len(images), *values.shape[1:]), dtype)
                with np.errstate(over="ignore"):  # infinite ones are found below
                    stored = values.astype(dtype)
                if not np.isfinite(stored).all():
                    raise FitError(
                        f"{name} has features above 65504, which float16 does not hold; fit with "
                        "another backbone or weights"
                    )
                arrays[name][start : start + len(values)] = stored
            bar.update(len(batch))
    return GoodGallery(pooled=arrays.pop(POOLED), **arrays)


def head_record(kept: GoodGallery, settings: SpadeConfig) -> GallerySearchRecord:
    """What a device is to do with these images."""
    count, dimension = kept.pooled.shape
    return GallerySearchRecord(
        gallery=GalleryRecord(images=count, dimension=dimension),
        search=ExactSearchRecord(reason="not measured"),
        neighbours=min(settings.gallery_neighbours, count),
        squared=settings.squared,
        score=settings.score,
        layers=tuple(_layer(name, values) for name, values in kept.layers.items()),
        pixel_neighbours=settings.pixel_neighbours,
        window=settings.window,
        mapped=settings.mapped,
        map=settings.map,
    )


def check_enough(kept: GoodGallery, settings: SpadeConfig) -> None:
    """Refuse images too few for the nearest positions that are asked for.

    Raises:
        FitError: they are. The error names how many are needed.
    """
    needed = images_needed(kept, settings)
    if len(kept.pooled) < needed or settings.gallery_neighbours < needed:
        raise FitError(
            f"{len(kept.pooled)} good images are learned from, and each is compared with "
            f"{settings.gallery_neighbours} at most; pixel_neighbours {settings.pixel_neighbours} "
            f"needs {needed}; lower it, widen the window, or add images"
        )


def images_needed(kept: GoodGallery, settings: SpadeConfig) -> int:
    """The fewest images whose positions are as many as a position is compared with."""
    windows = [
        fewest_in_window((values.shape[1], values.shape[2]), settings.window)
        for values in kept.layers.values()
    ]
    return -(-settings.pixel_neighbours // min(windows))


def _layer(name: str, values: NDArray[np.float16]) -> GalleryLayer:
    _, rows, cols, dimension = values.shape
    return GalleryLayer(output=name, grid=(rows, cols), dimension=dimension)
