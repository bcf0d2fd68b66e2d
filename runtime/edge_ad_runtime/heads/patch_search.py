"""The head `patch-search`: patch features, a memory bank, and the search of one in the other."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ad_runtime.artifact.head_records import (
    ExactSearchRecord,
    GraphSearchRecord,
    PatchSearchRecord,
)
from edge_ad_runtime.artifact.npy import Shaped
from edge_ad_runtime.errors import ArtifactError
from edge_ad_runtime.heads import MAP, POSTPROCESS, SCORE, Arrays, HeadFiles, Judged, Opening, Stage
from edge_ad_runtime.heads.features import reach, squarable
from edge_ad_runtime.heads.index_files import open_index
from edge_ad_runtime.heads.maps import anomaly_map
from edge_ad_runtime.heads.patch_scoring import image_score, patch_distances
from edge_ad_runtime.search import Nearest, Search, measured
from edge_ad_runtime.search.exact import ExactSearch
from edge_ad_runtime.stopwatch import Stopwatch

FEATURES = "features"
"""An output ``(N, rows, cols, D)`` float32, the patch features."""
ROWS = "rows"
"""An output ``(N, rows * cols, k)`` int64, the nearest bank rows, where the graph searches."""

BANK = "bank.npy"
BANK_NEIGHBOURS = "bank_neighbours.npy"

_DISTANCES = "distances"


class PatchSearch:
    """See `edge_ad_runtime.heads.Head`. Holds no mutable state.

    Args:
        record: what the manifest says of the head.
        bank: ``(n, D)`` float32.
        neighbours: ``(n, b)``, the b bank rows nearest to each bank row. None means that the score
            is equation 6 alone.
        search: the search of the bank, or None if the graph does it.
        opening: what the head is opened for. The map's size is taken from it.
        where: the bank's file, for messages.
    """

    stages: tuple[Stage, ...] = (
        Stage(name=FEATURES, compared="largest", in_unit_of_score=False, most_tolerance=0.1),
        Stage(name=_DISTANCES, compared="mean", in_unit_of_score=True, most_tolerance=11),
        MAP,
        SCORE,
    )
    timed: tuple[str, ...] = ("search", POSTPROCESS)
    in_decades: bool = False
    map_in_unit_of_score: bool = True

    def __init__(
        self,
        record: PatchSearchRecord,
        bank: NDArray[np.float32],
        neighbours: NDArray[np.int32] | None,
        search: Search | None,
        opening: Opening,
        where: Path,
    ) -> None:
        self._record = record
        self._bank = bank
        self._neighbours = neighbours
        self._search = search
        self._size = opening.size
        self._where = where
        self.search: str | None = "graph" if search is None else search.kind
        patches, k = record.grid[0] * record.grid[1], record.scoring.neighbours
        features = Shaped(np.float32, (*record.grid, record.dimension))
        self.outputs: Mapping[str, Shaped] = {FEATURES: features}
        if search is None:
            self.outputs = {FEATURES: features, ROWS: Shaped(np.int64, (patches, k))}
        self.shapes: Mapping[str, Shaped] = {
            FEATURES: features,
            _DISTANCES: Shaped(np.float32, (patches,)),
            MAP.name: Shaped(np.float32, opening.size),
            SCORE.name: Shaped(np.float64, ()),
        }

    @classmethod
    def open(cls, record: PatchSearchRecord, files: HeadFiles, opening: Opening) -> PatchSearch:
        """See `edge_ad_runtime.heads.open_head`."""
        bank, neighbours = _load_bank(record, files)
        _check_reach(record, bank, opening, files)
        search = _load_search(record, bank, files, opening)
        return cls(record, bank, neighbours, search, opening, files.path(BANK))

    def replay(self, stage: str, before: Arrays) -> NDArray[Any]:
        """See `Head.replay`."""
        if stage == FEATURES:
            return squarable(before[FEATURES])
        if stage == _DISTANCES:
            return patch_distances(self._nearest(before), self._record.scoring)
        if stage == MAP.name:
            return self._map(before[_DISTANCES])
        return np.asarray(self._score(before, before[_DISTANCES], self._nearest(before)))

    def judge(self, outputs: Arrays, *, with_map: bool) -> Judged:
        """See `Head.judge`."""
        clock = Stopwatch()
        squarable(outputs[FEATURES])
        nearest = self._nearest(outputs)
        clock.lap("search")
        distances = patch_distances(nearest, self._record.scoring)
        score = self._score(outputs, distances, nearest)
        heat = self._map(distances) if with_map else None
        clock.lap(POSTPROCESS)
        return Judged(
            score=score,
            map=heat,
            evidence={
                "exact": bool(distances.max() >= nearest.bound),
                "scanned": nearest.scanned,
                "bound": float(nearest.bound),
            },
            timings_ms=clock.laps_ms,
            deciding=self._box_of(int(distances.argmax())),
        )

    def close(self) -> None:
        """See `Head.close`."""
        if self._search is not None:
            self._search.close()

    def _box_of(self, patch: int) -> tuple[int, int, int, int]:
        """The pixels of the network's input that a patch stands for."""
        row, col = divmod(patch, self._record.grid[1])
        (rows, cols), (height, width) = self._record.grid, self._size
        top, left = row * height // rows, col * width // cols
        return top, left, (row + 1) * height // rows - top, (col + 1) * width // cols - left

    def _nearest(self, before: Arrays) -> Nearest:
        """The nearest bank patches of each patch, row-major.

        Raises:
            ArtifactError: the graph has found rows that are not in the bank.
        """
        flat, k = _flat(before[FEATURES]), self._record.scoring.neighbours
        if self._search is not None:
            return self._search.nearest(flat, k)
        found, rows = before[ROWS], len(self._bank)
        if found.min() < 0 or found.max() >= rows:
            raise ArtifactError(
                f"the graph finds rows from {found.min()} to {found.max()}, in a bank of {rows}; "
                "the two come from different exports, export again",
                path=self._where,
            )
        return measured(flat, self._bank, found)

    def _score(self, before: Arrays, distances: NDArray[np.float32], nearest: Nearest) -> float:
        flat = _flat(before[FEATURES])
        return image_score(flat, distances, nearest, self._bank, self._neighbours)

    def _map(self, distances: NDArray[np.float32]) -> NDArray[np.float32]:
        return anomaly_map(distances, self._record.grid, self._size, self._record.map)


def _flat(features: NDArray[np.float32]) -> NDArray[np.float32]:
    return features.reshape(-1, features.shape[-1])


def _load_bank(
    record: PatchSearchRecord, files: HeadFiles
) -> tuple[NDArray[np.float32], NDArray[np.int32] | None]:
    rows = record.bank.rows
    stored_as = np.float16 if record.bank.precision == "float16" else np.float32
    stored = files.array(BANK, Shaped(stored_as, (rows, record.dimension)))
    bank = stored.astype(np.float32, copy=False)
    b = record.scoring.reweight_neighbours
    if b is None:
        return bank, None
    neighbours = files.array(BANK_NEIGHBOURS, Shaped(np.int32, (rows, b)))
    if not (0 <= neighbours.min() and neighbours.max() < rows):
        raise ArtifactError(
            f"names rows outside the bank's {rows}; export again", path=files.path(BANK_NEIGHBOURS)
        )
    return bank, neighbours


def _check_reach(
    record: PatchSearchRecord, bank: NDArray[np.float32], opening: Opening, files: HeadFiles
) -> None:
    """Refuse a bank or a threshold with which every image would be good."""
    longest = float(np.sqrt(np.einsum("nd,nd->n", bank, bank).max()))  # nan if one row has a nan
    if not np.isfinite(longest):
        raise ArtifactError(
            "holds numbers that are not finite, or too large to square; export again",
            path=files.path(BANK),
        )
    most = reach(longest, record.dimension)
    most = most**2 if record.scoring.squared else most
    if opening.threshold is not None and opening.threshold > most:
        raise ArtifactError(
            f"no image could be anomalous: the threshold is {opening.threshold:g}, and the bank's "
            f"features are {longest:g} long at most; export again",
            path=files.path(BANK).parent,
        )


def _load_search(
    record: PatchSearchRecord, bank: NDArray[np.float32], files: HeadFiles, opening: Opening
) -> Search | None:
    """The search that the record names, or None where the graph does it."""
    search = record.search
    if isinstance(search, GraphSearchRecord):
        return None
    if opening.exact or isinstance(search, ExactSearchRecord):
        return ExactSearch(bank)
    return open_index(
        search, bank, files, opening, grid=record.grid, squared=record.scoring.squared
    )
