"""What the manifest says of a head: there is a record for each ``kind`` of head and of search.

A head turns one network's outputs into a score and a map. The code is in `edge_ad_runtime.heads`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Literal

from edge_ad_runtime.artifact import strict
from edge_ad_runtime.artifact.a_contrario_records import AContrarioRecord
from edge_ad_runtime.artifact.strict import AtMost, Between
from edge_ad_runtime.artifact.words import Name, NotNegative, Rows, Side, Text

_RESERVED = frozenset({"map", "precision", "preprocess", "regions", "score", "verdict"})
"""Stages that ``verify`` has for every head, so that no output of a head may have their names."""


@dataclass(frozen=True, kw_only=True)
class MapSettings:
    """How values on the network's grid become a map of the input's size.

    Attributes:
        upsampling: how the grid is enlarged.
        blur_sigma_px: the gaussian blur of the map, in pixels of the network's input.
        border: what the gaussian sees beyond the border, in scipy's words: ``reflect`` is
            d c b a | a b c d, ``mirror`` is d c b | a b c d.
    """

    upsampling: Literal["bilinear", "nearest"]
    blur_sigma_px: Annotated[float, Between(0, 100)]
    border: Literal["reflect", "mirror"]


@dataclass(frozen=True, kw_only=True)
class Scoring:
    """How PatchCore's distances become the score of an image.

    Attributes:
        neighbours: the number k. A patch's distance is the mean of its distances to the k bank
            patches nearest to it.
        squared: whether distances are squared L2 instead of L2.
        reweight_neighbours: the number b of equation 7, which counts the nearest bank patch itself.
            None leaves equation 7 out, so that the score is that of equation 6.
    """

    neighbours: Annotated[int, Between(1, 1000)]
    squared: bool
    reweight_neighbours: Annotated[int, Between(2, 1000)] | None


@dataclass(frozen=True, kw_only=True)
class Certificate:
    """How well a bank covers the patches that it was chosen from, whoever chose it.

    Attributes:
        covering_radius: the largest distance of any of these patches to the nearest of the bank.
        least_radius: no bank of as many patches has a smaller covering radius than this.
        dimensions: of the space that both are measured in. If it is smaller than the features',
            they are projected at random, as they are for the choice.
    """

    covering_radius: NotNegative
    least_radius: NotNegative
    dimensions: Side

    @property
    def ratio(self) -> float:
        """How many times the best possible radius this one is at most. It is 1 at radius 0.

        >>> Certificate(covering_radius=3.0, least_radius=1.5, dimensions=128).ratio
        2.0
        """
        if self.covering_radius == 0:
            return 1.0
        return self.covering_radius / self.least_radius if self.least_radius else math.inf


@dataclass(frozen=True, kw_only=True)
class BankRecord:
    """The memory bank.

    Attributes:
        rows: the number of patches in the bank.
        precision: the type of numbers in ``bank.npy``. The rows become float32 when they are
            loaded.
        certificate: how well it covers the good images' patches, as it was chosen. It is None if
            the bank was made before this was stated.
    """

    rows: Rows
    precision: Literal["float32", "float16"]
    certificate: Certificate | None = strict.optional()


@dataclass(frozen=True, kw_only=True)
class ExactSearchRecord:
    """The exact search: every bank row is compared, by a matrix product over ``bank.npy``.

    Attributes:
        reason: one sentence with the measurement that decided.
    """

    kind: Literal["exact"] = "exact"
    reason: Text


@dataclass(frozen=True, kw_only=True)
class GraphSearchRecord:
    """The exact search in the graph, which then gives the nearest rows too.

    Attributes:
        reason: one sentence with the measurement that decided.
    """

    kind: Literal["graph"] = "graph"
    reason: Text


@dataclass(frozen=True, kw_only=True)
class HnswSearchRecord:
    """The search in which ``index.hnsw`` proposes rows that are measured again with ``bank.npy``.

    Attributes:
        code_dimension: the number of principal axes that the index's codes keep, see
            `edge_ad_runtime.search`.
        links: the parameter M of HNSW.
        ef_construction: the breadth of HNSW's search while the index is built.
        ef_search: the breadth of HNSW's search. hnswlib forgets it on loading, so it is kept here.
        candidates: the number of rows that the index proposes for each patch.
        rounds: how often each patch tries the rows that the patches around it have found.
        reason: one sentence with the measurement that decided.
    """

    kind: Literal["hnsw"] = "hnsw"
    code_dimension: Side
    links: Annotated[int, Between(1, 256)]
    ef_construction: Annotated[int, Between(1, 10_000)]
    ef_search: Annotated[int, Between(1, 10_000)]
    candidates: Annotated[int, Between(1, 10_000)]
    rounds: Annotated[int, Between(0, 100)]
    reason: Text


SearchRecord = ExactSearchRecord | HnswSearchRecord | GraphSearchRecord


@dataclass(frozen=True, kw_only=True)
class PatchSearchRecord:
    """The head of PatchCore, which measures how far patch features are from a memory bank.

    Attributes:
        grid: the ``(rows, cols)`` of patches that there are features of.
        dimension: D, the number of values in a feature.
        bank: the memory bank that is searched.
        search: how the bank is searched.
        scoring: how distances become a score.
        map: how distances become a map.
    """

    kind: Literal["patch-search"] = "patch-search"
    grid: tuple[Side, Side]
    dimension: Side
    bank: BankRecord
    search: SearchRecord
    scoring: Scoring
    map: MapSettings

    def __post_init__(self) -> None:
        k, rows = self.scoring.neighbours, self.bank.rows
        most = max(k, self.scoring.reweight_neighbours or 0)
        ef = self.search.ef_search if isinstance(self.search, HnswSearchRecord) else None
        if most > rows or (ef is not None and k > ef):
            searched = "" if ef is None else f" searched with ef {ef}"
            raise ValueError(f"asks for {most} neighbours of a bank of {rows} rows{searched}")


@dataclass(frozen=True, kw_only=True)
class DirectRecord:
    """The head of networks that give the anomaly themselves, such as PaDiM's.

    Attributes:
        output: the name of the output that says how anomalous each place is. None means
            ``anomaly``. Its values are 0 or more, and larger where the image is more anomalous.
        grid: the ``(rows, cols)`` of that output.
        beside: the names of outputs that are one number for each image, of 0 or more, which
            ``verify`` compares before it. None means that there are none.
        score: where the score comes from. ``given`` takes the network's output ``score``, and
            ``largest`` takes the map's largest value.
        map: how the output becomes a map.
    """

    kind: Literal["direct"] = "direct"
    output: Name | None = strict.optional()
    grid: tuple[Side, Side]
    beside: Annotated[tuple[Name, ...], AtMost(8)] | None = strict.optional()
    score: Literal["given", "largest"]
    map: MapSettings

    def __post_init__(self) -> None:
        names = [*(self.beside or ()), self.output or "anomaly"]
        if len(set(names)) != len(names) or _RESERVED.intersection(names):
            raise ValueError(
                f"output and beside: expected different names, none of them "
                f"{', '.join(sorted(_RESERVED))}, found {names}"
            )


@dataclass(frozen=True, kw_only=True)
class GalleryRecord:
    """The good images that a `GallerySearchRecord` compares with.

    Attributes:
        images: N, the number of good images.
        dimension: d, the number of values in the pooled feature of an image.
    """

    images: Rows
    dimension: Side


@dataclass(frozen=True, kw_only=True)
class GalleryLayer:
    """One layer of the network, of whose positions the gallery keeps the features.

    Attributes:
        output: the name of the network's output, and of the gallery's file ``OUTPUT.npy``.
        grid: the ``(rows, cols)`` of positions.
        dimension: C, the number of values in the feature of a position.
    """

    output: Name
    grid: tuple[Side, Side]
    dimension: Side


@dataclass(frozen=True, kw_only=True)
class GallerySearchRecord:
    """The head of SPADE, which finds the most similar good images and compares with them.

    Attributes:
        gallery: the good images.
        search: how the most similar images are found.
        neighbours: K, the number of the most similar images that are compared with.
        squared: whether the score ``dn2`` is a mean of squared distances.
        score: ``dn2`` takes the mean distance of the pooled features to those of the K images, and
            ``map`` takes the map's largest value.
        layers: the layers that are compared position by position. Their distances are averaged.
        pixel_neighbours: kappa. The distance of a position is the mean of those to the kappa
            nearest positions of the K images.
        window: how many rows and columns a compared position may be away. None means that all
            positions are compared.
        mapped: which images have a map: ``always`` all of them, ``suspicious`` those alone whose
            score is above the threshold.
        map: how distances become a map.
    """

    kind: Literal["gallery-search"] = "gallery-search"
    gallery: GalleryRecord
    search: ExactSearchRecord | HnswSearchRecord
    neighbours: Annotated[int, Between(1, 10_000)]
    squared: bool
    score: Literal["dn2", "map"]
    layers: Annotated[tuple[GalleryLayer, ...], AtMost(8)]
    pixel_neighbours: Annotated[int, Between(1, 1000)]
    window: Annotated[int, Between(0, 65_536)] | None
    mapped: Literal["always", "suspicious"]
    map: MapSettings

    def __post_init__(self) -> None:
        names = [layer.output for layer in self.layers]
        if not names or len(set(names)) != len(names):
            raise ValueError(f"layers: expected at least one, and none twice, found {names}")
        if self.neighbours > self.gallery.images:
            raise ValueError(
                f"asks for {self.neighbours} neighbours of a gallery of {self.gallery.images}"
            )
        ef = self.search.ef_search if isinstance(self.search, HnswSearchRecord) else None
        if ef is not None and self.neighbours > ef:
            raise ValueError(f"asks for {self.neighbours} neighbours searched with ef {ef}")
        for layer in self.layers:
            most = self.neighbours * fewest_in_window(layer.grid, self.window)
            if self.pixel_neighbours > most:
                raise ValueError(
                    f"asks for {self.pixel_neighbours} neighbours of a position of "
                    f"{layer.output}, which is compared with {most}"
                )
        if self.score == "map" and self.mapped == "suspicious":
            raise ValueError("takes its score from a map that only suspicious images have")


def fewest_in_window(grid: tuple[int, int], window: int | None) -> int:
    """How many positions of one image are compared with the one that has the fewest, a corner.

    >>> fewest_in_window((3, 5), None), fewest_in_window((3, 5), 1), fewest_in_window((3, 5), 9)
    (15, 4, 15)
    """
    rows, cols = grid
    if window is None:
        return rows * cols
    return min(window + 1, rows) * min(window + 1, cols)


HeadRecord = PatchSearchRecord | DirectRecord | GallerySearchRecord | AContrarioRecord
