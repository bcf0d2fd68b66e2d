"""The head `gallery-search`: the most similar good images, and how an image differs from them.

SPADE (Cohen & Hoshen 2020) over DN2 (Bergman, Cohen & Hoshen 2020). The pooled feature of an image
finds the K most similar good images. Their mean distance is the score (equation 2), and the
features at their positions make the map: see `edge_ad_runtime.heads.alignment`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ad_runtime.artifact.head_records import GallerySearchRecord
from edge_ad_runtime.artifact.npy import Shaped
from edge_ad_runtime.heads import MAP, POSTPROCESS, SCORE, Arrays, HeadFiles, Judged, Opening, Stage
from edge_ad_runtime.heads.features import squarable
from edge_ad_runtime.heads.gallery_images import GalleryImages
from edge_ad_runtime.heads.maps import blurred, enlarged
from edge_ad_runtime.search.gallery import NearestImages, nearest_of
from edge_ad_runtime.stopwatch import Stopwatch

POOLED = "pooled"
"""An output ``(N, d)`` float32, the feature of the whole image."""

_IMAGE_DISTANCES = "image_distances"


class GallerySearch:
    """See `edge_ad_runtime.heads.Head`. Holds no mutable state.

    Beside the network's outputs its stages are ``image_distances``, the squared distances to all
    good images, and for each layer ``LAYER_distances``. The distances to all, and not the numbers
    of the nearest, are a stage, because two images may be equally near but for the last digit. The
    stages after it find the nearest in the values of that stage, and so the same ones everywhere.

    Args:
        record: what the manifest says of the head.
        images: the good images.
        opening: what the head is opened for.
    """

    timed: tuple[str, ...] = ("search", "alignment", POSTPROCESS)
    in_decades: bool = False

    def __init__(
        self, record: GallerySearchRecord, images: GalleryImages, opening: Opening
    ) -> None:
        self._record = record
        self._images = images
        self._opening = opening
        self.map_in_unit_of_score: bool = record.score == "map"  # not of pooled features
        self.search: str | None = record.search.kind if images.is_indexed else "exact"
        self.outputs: Mapping[str, Shaped] = {
            POOLED: Shaped(np.float32, (record.gallery.dimension,)),
            **{
                layer.output: Shaped(np.float32, (*layer.grid, layer.dimension))
                for layer in record.layers
            },
        }
        self._aligned = {aligned_stage(layer.output): layer.output for layer in record.layers}
        self.shapes: Mapping[str, Shaped] = {
            **self.outputs,
            _IMAGE_DISTANCES: Shaped(np.float64, (record.gallery.images,)),
            **{aligned_stage(x.output): Shaped(np.float32, x.grid) for x in record.layers},
            MAP.name: Shaped(np.float32, opening.size),
            SCORE.name: Shaped(np.float64, ()),
        }
        self.stages: tuple[Stage, ...] = (
            *(_largest(name) for name in (*self.outputs, _IMAGE_DISTANCES)),
            *(self._distances_stage(name) for name in self._aligned),
            MAP,
            SCORE,
        )

    @classmethod
    def open(cls, record: GallerySearchRecord, files: HeadFiles, opening: Opening) -> GallerySearch:
        """See `edge_ad_runtime.heads.open_head`."""
        return cls(record, GalleryImages.open(record, files, opening), opening)

    def replay(self, stage: str, before: Arrays) -> NDArray[Any]:
        """See `Head.replay`."""
        if stage in self.outputs:
            return squarable(before[stage])
        if stage == _IMAGE_DISTANCES:
            return self._images.gallery.sq_distances(before[POOLED])
        if stage == MAP.name:
            return self._map(before)
        if stage == SCORE.name:
            needs_map = self._record.score == "map"
            score = self._map(before).max() if needs_map else self.dn2(self._replayed(before))
            return np.asarray(float(score))
        output = self._aligned[stage]
        return self._images.distances({output: before[output]}, self._replayed(before).rows)[output]

    def judge(
        self, outputs: Arrays, *, with_map: bool, without: int | NDArray[np.int64] | None = None
    ) -> Judged:
        """See `Head.judge`.

        Args:
            outputs: the network's outputs for one image.
            with_map: whether a map is asked for.
            without: the number of the image itself, if it is in the gallery, or the numbers of all
                images of its part. They are passed over.
        """
        clock = Stopwatch()
        for name in self.outputs:
            squarable(outputs[name])
        nearest = self.nearest(outputs[POOLED], without=without)
        clock.lap("search")
        needs_map = self._record.score == "map"
        score = None if needs_map else self.dn2(nearest)
        is_mapped = with_map and (score is None or self._is_to_be_mapped(score))
        aligned = self._align(outputs, nearest) if is_mapped or needs_map else None
        clock.lap("alignment")
        heat = None if aligned is None else self._map(aligned)
        if score is None:
            assert heat is not None, "needs_map"
            score = float(heat.max())
        clock.lap(POSTPROCESS)
        return Judged(
            score=score,
            map=heat if is_mapped else None,
            evidence={"mapped": is_mapped},
            timings_ms=clock.laps_ms,
        )

    def close(self) -> None:
        """See `Head.close`."""
        self._images.close()

    def nearest(
        self, pooled: NDArray[np.float32], *, without: int | NDArray[np.int64] | None = None
    ) -> NearestImages:
        """The K good images whose pooled features are nearest to a ``(d,)`` one. See `judge`."""
        return self._images.gallery.nearest(pooled, self._record.neighbours, without=without)

    def dn2(self, nearest: NearestImages) -> float:
        """The mean distance of the pooled features (equation 2)."""
        squares = nearest.sq_distances
        return float((squares if self._record.squared else np.sqrt(squares)).mean())

    def _replayed(self, before: Arrays) -> NearestImages:
        """The K nearest by the distances of a stage before."""
        sq_distances = before[_IMAGE_DISTANCES]
        rows = nearest_of(sq_distances, self._record.neighbours)
        return NearestImages(rows, sq_distances[rows])

    def _align(self, outputs: Arrays, nearest: NearestImages) -> Arrays:
        """The distances of all layers from the nearest images, by the names of their stages."""
        layers = {output: outputs[output] for output in self._aligned.values()}
        found = self._images.distances(layers, nearest.rows)
        return {aligned_stage(output): values for output, values in found.items()}

    def _is_to_be_mapped(self, score: float) -> bool:
        above = self._opening.map_above
        return self._record.mapped == "always" or above is None or score > above

    def _map(self, aligned: Arrays) -> NDArray[np.float32]:
        size, settings = self._opening.size, self._record.map
        layers = [enlarged(aligned[name], size, settings) for name in self._aligned]
        return blurred(np.mean(layers, axis=0), settings)

    def _distances_stage(self, name: str) -> Stage:
        in_unit = self._record.score == "map"
        return Stage(name=name, compared="mean", in_unit_of_score=in_unit, most_tolerance=0.1)


def aligned_stage(output: str) -> str:
    """The name of the stage that holds a layer's distances."""
    return f"{output}_distances"


def _largest(name: str) -> Stage:
    return Stage(name=name, compared="largest", in_unit_of_score=False, most_tolerance=0.1)
