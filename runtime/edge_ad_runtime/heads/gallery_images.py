"""The good images of the head `gallery-search`, as the artifact keeps them."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial

import numpy as np
from numpy.typing import NDArray

from edge_ad_runtime.artifact.head_records import (
    ExactSearchRecord,
    GalleryLayer,
    GallerySearchRecord,
)
from edge_ad_runtime.artifact.npy import Shaped
from edge_ad_runtime.errors import ArtifactError
from edge_ad_runtime.heads import HeadFiles, Opening, Slices
from edge_ad_runtime.heads.alignment import nearest_anywhere, nearest_within
from edge_ad_runtime.heads.features import reach
from edge_ad_runtime.heads.index_files import open_index
from edge_ad_runtime.search import Search
from edge_ad_runtime.search.blas import BLAS_ON_ONE_THREAD
from edge_ad_runtime.search.gallery import Gallery

GALLERY = "gallery.npy"

FloatArray = NDArray[np.float32]

_NOT_FINITE = 0x7C00  # of float16, as a whole number: infinity, and above it what is no number


def features_file(output: str) -> str:
    """The file with the good images' features of one layer."""
    return f"{output}.npy"


class GalleryImages:
    """The pooled features of the good images, and those at their positions.

    Args:
        record: what the manifest says of the head.
        gallery: the pooled features.
        layers: the good images' features of each layer, by the output's name.
        threads: the number of threads. None means all cores.
    """

    def __init__(
        self,
        record: GallerySearchRecord,
        gallery: Gallery,
        layers: Mapping[str, Slices],
        threads: int | None,
    ) -> None:
        self.gallery = gallery
        self._record = record
        self._layers = layers
        self._threads = threads or os.cpu_count() or 1
        self._helpers = ThreadPoolExecutor(max(self._threads - 1, 1))

    @classmethod
    def open(cls, record: GallerySearchRecord, files: HeadFiles, opening: Opening) -> GalleryImages:
        """Load the arrays and check them.

        Raises:
            ArtifactError: an array is missing, damaged or another artifact's, or no image could be
                anomalous.
        """
        pooled = _load_pooled(record, files)
        with ExitStack() as opened:  # closes the files if another cannot be loaded
            layers, longest = {}, {}
            for layer in record.layers:
                shape = (record.gallery.images, *layer.grid, layer.dimension)
                name = features_file(layer.output)
                layers[layer.output] = files.slices(name, Shaped(np.float16, shape))
                opened.callback(layers[layer.output].close)
                longest[layer.output] = _longest(layers[layer.output], record, layer, files)
            _check_reach(record, pooled, longest, opening, files)
            gallery = Gallery(pooled, _load_index(record, pooled, files, opening))
            opened.pop_all()
        return cls(record, gallery, layers, opening.threads)

    @property
    def is_indexed(self) -> bool:
        """Whether an index proposes the similar images."""
        return self.gallery.is_indexed

    def distances(
        self, features: Mapping[str, FloatArray], rows: NDArray[np.int64]
    ) -> dict[str, FloatArray]:
        """How far each position is from those of some good images, layer by layer.

        Args:
            features: for some of the layers the image's features ``(rows, cols, C)``.
            rows: ``(K,)``, the numbers of the good images.

        Returns:
            For each of these layers ``(rows, cols)``, the means of the L2 distances to the kappa
            nearest.

        Raises:
            ArtifactError: a file has changed since it was loaded.
        """
        with BLAS_ON_ONE_THREAD:
            window = self._record.window
            find = self._anywhere if window is None else partial(self._within, window)
            found = find(features, rows)
        return {
            name: np.sqrt(sq_distances).mean(axis=0).reshape(features[name].shape[:2])
            for name, sq_distances in found.items()
        }

    def close(self) -> None:
        """Give back threads and files. Nothing may be compared afterwards."""
        self._helpers.shutdown()
        self.gallery.close()
        for slices in self._layers.values():
            slices.close()

    def _anywhere(
        self, features: Mapping[str, FloatArray], rows: NDArray[np.int64]
    ) -> dict[str, FloatArray]:
        """Squared distances ``(kappa, rows * cols)``, rising, to the nearest of all positions.

        Each thread has a part of the image's own positions, so that all have as much to do.
        """
        kappa = self._record.pixel_neighbours
        parts = {name: np.array_split(values, self._threads) for name, values in features.items()}

        def nearest(i: int) -> dict[str, FloatArray]:
            return {
                name: nearest_anywhere(of_layer[i], self._layers[name], rows, kappa)
                for name, of_layer in parts.items()
                if of_layer[i].size  # a layer may have fewer rows than there are threads
            }

        found = self._in_parts(nearest)
        return {
            name: np.concatenate([part[name] for part in found if name in part], axis=1)
            for name in features
        }

    def _within(
        self, window: int, features: Mapping[str, FloatArray], rows: NDArray[np.int64]
    ) -> dict[str, FloatArray]:
        """Squared distances ``(kappa, rows * cols)``, rising, to the nearest within the window.

        Each thread has a part of the good images.
        """
        kappa = self._record.pixel_neighbours
        parts = np.array_split(rows, min(self._threads, len(rows)))

        def nearest(i: int) -> dict[str, FloatArray]:
            return {
                name: nearest_within(values, self._layers[name], parts[i], kappa, window)
                for name, values in features.items()
                if i < len(parts)
            }

        found = self._in_parts(nearest)
        return {
            name: np.sort(np.concatenate([part[name] for part in found if part]), axis=0)[:kappa]
            for name in features
        }

    def _in_parts(
        self, work: Callable[[int], dict[str, FloatArray]]
    ) -> list[dict[str, FloatArray]]:
        """What ``work`` gives for each thread's number. This thread takes a share itself."""
        helped = [self._helpers.submit(work, i) for i in range(1, self._threads)]
        return [work(0), *(part.result() for part in helped)]


def _load_pooled(record: GallerySearchRecord, files: HeadFiles) -> FloatArray:
    shape = (record.gallery.images, record.gallery.dimension)
    pooled = files.array(GALLERY, Shaped(np.float32, shape)).astype(np.float32, copy=False)
    if not np.isfinite(np.einsum("nd,nd->n", pooled, pooled).max()):  # nan if one value is nan
        raise ArtifactError(
            "holds numbers that are not finite, or too large to square; export again",
            path=files.path(GALLERY),
        )
    return pooled


def _longest(
    slices: Slices, record: GallerySearchRecord, layer: GalleryLayer, files: HeadFiles
) -> float:
    """What no good image's feature of this layer is longer than.

    Raises:
        ArtifactError: a feature is not finite.
    """
    largest = 0
    for i in range(record.gallery.images):
        magnitudes = slices.read(i).view(np.uint16) & 0x7FFF  # without the sign
        largest = max(largest, int(magnitudes.max()))
    if largest >= _NOT_FINITE:
        raise ArtifactError(
            "holds numbers that are not finite; export again",
            path=files.path(features_file(layer.output)),
        )
    value = float(np.array(largest, np.uint16).view(np.float16))
    return float(value * layer.dimension**0.5)


def _check_reach(
    record: GallerySearchRecord,
    pooled: FloatArray,
    longest: Mapping[str, float],
    opening: Opening,
    files: HeadFiles,
) -> None:
    """Refuse a threshold with which every image would be good."""
    if record.score == "map":
        most = float(np.mean([reach(longest[x.output], x.dimension) for x in record.layers]))
    else:
        most = reach(float(np.linalg.norm(pooled, axis=1).max()), record.gallery.dimension)
        most = most**2 if record.squared else most
    if opening.threshold is not None and opening.threshold > most:
        raise ArtifactError(
            f"no image could be anomalous: the threshold is {opening.threshold:g}, and no score is "
            f"expected above {most:g}; export again",
            path=files.path(GALLERY).parent,
        )


def _load_index(
    record: GallerySearchRecord, features: FloatArray, files: HeadFiles, opening: Opening
) -> Search | None:
    """The index that the record names, or None where all images are compared."""
    search = record.search
    if opening.exact or isinstance(search, ExactSearchRecord):
        return None
    return open_index(search, features, files, opening, grid=(1, 1))
