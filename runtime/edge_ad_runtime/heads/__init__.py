"""What the runtime does with one network's outputs: a score, a map, and each stage on the way.

Read `Head` first. A head knows its own outputs and arrays and nothing of engines. The rest of the
runtime (`Detector`, ``verify``, ``profile``, the export) knows nothing of any one head and loops
over its stages.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from edge_ad_runtime.artifact.a_contrario_records import AContrarioRecord
from edge_ad_runtime.artifact.head_records import (
    DirectRecord,
    GallerySearchRecord,
    HeadRecord,
    PatchSearchRecord,
)
from edge_ad_runtime.artifact.npy import Shaped

Arrays = Mapping[str, NDArray[Any]]
"""The values of one image by name, such as a network's outputs or a stage's result."""

Evidence = Mapping[str, bool | int | float]
"""What only one kind of head knows of its verdict, such as how many patches it has scanned."""


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One step of a head, whose result ``verify`` compares with the reference's.

    Attributes:
        name: the name of the stage and of the array that it gives. Tolerances and reference values
            have it as their key.
        compared: ``largest`` compares by the largest difference relative to the largest reference
            value, and ``mean`` by the mean difference relative to the mean value. (An approximate
            search may be far off on a few patches, but not on the one that decides, which the
            score shows.)
        in_unit_of_score: whether reference values below a tenth of the threshold count as a tenth
            of the threshold. The score of an image that is in the bank is rounding noise around 0,
            and only its difference in proportion to the threshold means anything.
        most_tolerance: the largest tolerance that a manifest may state. A larger one would prove
            nothing.
    """

    name: str
    compared: Literal["largest", "mean"]
    in_unit_of_score: bool
    most_tolerance: float


MAP = Stage(name="map", compared="largest", in_unit_of_score=True, most_tolerance=0.1)
SCORE = Stage(name="score", compared="largest", in_unit_of_score=True, most_tolerance=0.1)
"""Every head ends with these two. An ensemble combines its members' maps and scores."""

SIGNIFICANCE = "significance"
"""The stage ``(H, W)`` float32 of heads whose map is not in the unit of the score: what is. It is
above the threshold where the image is anomalous."""

POSTPROCESS = "postprocess"
"""The last of what every head times. The combining of an ensemble's values counts to it."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Judged:
    """What a head says of one image.

    Attributes:
        score: the raw score, which is never clamped or rescaled.
        map: ``(H, W)`` float32 of the network's input size, see `Head.map_in_unit_of_score`. It is
            None if it was not asked for, or the record leaves it out: see `Opening.map_above`.
        significance: ``(H, W)`` float32 in the unit of the score, which is above the threshold
            where the image is anomalous. It is None if the head has none, or no map was asked for.
        evidence: what only this kind of head knows. In an ensemble a truth holds if it holds for
            all members, whole numbers are added, and other numbers are combined as the scores are.
        timings_ms: the milliseconds that each of `Head.timed` took.
        deciding: ``(top, left, height, width)`` in pixels of the network's input, of the patch
            whose distance is the score. None if the head's score is no single patch's.
    """

    score: float
    map: NDArray[np.float32] | None
    significance: NDArray[np.float32] | None = None
    evidence: Evidence
    timings_ms: Mapping[str, float]
    deciding: tuple[int, int, int, int] | None = None


class Head(Protocol):
    """What the runtime does with one network's outputs. It is safe to call from several threads.

    Attributes:
        stages: the stages in order. The last two are `MAP` and `SCORE`.
        outputs: the outputs that the head needs from the network, by name.
        shapes: the type and shape of what each stage gives, by the stage's name.
        timed: the names of what `judge` times, in order. The last is `POSTPROCESS`.
        search: the kind of search, for people, or None if the head searches nothing.
        in_decades: whether scores are logarithms. They may then be below 0, a difference of them is
            one even where the threshold is 0. Scores that are not are distances from 0 upwards,
            which have no unit but the threshold.
        map_in_unit_of_score: whether the map is in the unit of the score, so that the image is
            anomalous where the map is above the threshold. A map that is not tells places of one
            image apart, and says of none that it is anomalous.
    """

    stages: tuple[Stage, ...]
    outputs: Mapping[str, Shaped]
    shapes: Mapping[str, Shaped]
    timed: tuple[str, ...]
    search: str | None
    in_decades: bool
    map_in_unit_of_score: bool

    def replay(self, stage: str, before: Arrays) -> NDArray[Any]:
        """Compute one stage from the network's outputs and the results of the stages before it.

        Raises:
            EdgeADError: the stage cannot use these values, for instance features that are not
                finite.
        """

    def judge(self, outputs: Arrays, *, with_map: bool) -> Judged:
        """Compute all stages at once, as the line needs them.

        Args:
            outputs: the network's outputs for one image.
            with_map: False leaves out the map and the work that only the map needs.

        Raises:
            EdgeADError: see `replay`.
        """

    def close(self) -> None:
        """Give back threads and memory. Nothing may be judged afterwards."""


class Slices(Protocol):
    """An array ``(n, ...)`` that need not be in memory. Several threads may read at once."""

    def read(self, i: int) -> NDArray[Any]:
        """The slice ``[i]``, which nobody may write to.

        Raises:
            ArtifactError: it cannot be read, or is not what it was when it was loaded.
        """

    def close(self) -> None:
        """Close what it is read from. Nothing may be read afterwards."""


class HeadFiles(Protocol):
    """Where a head's arrays come from: a member of an artifact, or memory."""

    def array(self, name: str, expected: Shaped) -> NDArray[Any]:
        """The array of that name, which has the expected type and shape.

        Raises:
            ArtifactError: there is none, or it has another type or shape.
        """

    def slices(self, name: str, expected: Shaped) -> Slices:
        """The array of that name, of which only the slices in use are read.

        Raises:
            ArtifactError: see `array`.
        """

    def read(self, name: str) -> NDArray[np.uint8]:
        """The content of a file.

        Raises:
            ArtifactError: there is none, or it is damaged.
        """

    def path(self, name: str) -> Path:
        """The path of a file, for messages."""


@dataclass(frozen=True, kw_only=True)
class Opening:
    """What a head is opened for.

    Attributes:
        size: the ``(height, width)`` of the network's input, and so of the map.
        threshold: the artifact's threshold in the head's own unit, or None while there is none yet.
            A head refuses to be opened if no image could be above it.
        threads: the number of CPU threads. None means all cores.
        map_above: the score that an image must be above to have a map, where the record leaves out
            the maps of others. With None all images have one. An ensemble's members are opened with
            None, because none of them knows the verdict.
        exact: whether to search exactly even where the record names an index.
    """

    size: tuple[int, int]
    threshold: float | None = None
    map_above: float | None = None
    threads: int | None = None
    exact: bool = False


def open_head(record: HeadRecord, files: HeadFiles, opening: Opening) -> Head:
    """Open the head that a record describes.

    Raises:
        ArtifactError: its arrays are missing, damaged or those of another artifact.
    """
    if isinstance(record, PatchSearchRecord):
        from edge_ad_runtime.heads.patch_search import PatchSearch

        return PatchSearch.open(record, files, opening)
    if isinstance(record, GallerySearchRecord):
        from edge_ad_runtime.heads.gallery_search import GallerySearch

        return GallerySearch.open(record, files, opening)
    if isinstance(record, AContrarioRecord):
        from edge_ad_runtime.heads.a_contrario import AContrario

        return AContrario(record, opening)
    assert isinstance(record, DirectRecord), "all kinds of the union"
    from edge_ad_runtime.heads.direct import Direct

    return Direct(record, opening)
