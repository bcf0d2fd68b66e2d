"""The head `direct`: the network itself says how anomalous each place is.

Methods whose mathematics fits into a graph need no code on the device: PaDiM's Mahalanobis distance
(Defard et al. 2021), a flow's likelihood, the energy of a density.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ad_runtime.artifact.head_records import DirectRecord
from edge_ad_runtime.artifact.npy import Shaped
from edge_ad_runtime.heads import MAP, POSTPROCESS, SCORE, Arrays, Judged, Opening, Stage
from edge_ad_runtime.heads.features import finite
from edge_ad_runtime.heads.maps import anomaly_map
from edge_ad_runtime.stopwatch import Stopwatch

ANOMALY = "anomaly"
"""An output ``(N, rows, cols)`` float32 of 0 or more, larger where the image is more anomalous. The
record may give it another name."""
GIVEN_SCORE = "score"
"""An output ``(N,)`` float32, the image's score, where the network gives one."""


class Direct:
    """See `edge_ad_runtime.heads.Head`."""

    timed: tuple[str, ...] = (POSTPROCESS,)
    search: str | None = None
    in_decades: bool = False

    def __init__(self, record: DirectRecord, opening: Opening) -> None:
        self._record = record
        self._size = opening.size
        self._output = record.output or ANOMALY
        own = {
            **{name: Shaped(np.float32, ()) for name in record.beside or ()},
            self._output: Shaped(np.float32, record.grid),
        }
        self.stages: tuple[Stage, ...] = (*map(_stage, own), MAP, SCORE)
        is_given = record.score == "given"
        self.map_in_unit_of_score = not is_given
        self.outputs: Mapping[str, Shaped] = (
            {**own, GIVEN_SCORE: Shaped(np.float32, ())} if is_given else own
        )
        self.shapes: Mapping[str, Shaped] = {
            **own,
            MAP.name: Shaped(np.float32, opening.size),
            SCORE.name: Shaped(np.float64, ()),
        }

    def replay(self, stage: str, before: Arrays) -> NDArray[Any]:
        """See `Head.replay`."""
        if stage not in (MAP.name, SCORE.name):
            return np.asarray(finite(before[stage], giver="the network"))
        heat = self._map(before[self._output])
        return heat if stage == MAP.name else np.asarray(self._score(before, heat))

    def judge(self, outputs: Arrays, *, with_map: bool) -> Judged:
        """See `Head.judge`."""
        clock = Stopwatch()
        anomaly = finite(outputs[self._output], giver="the network")
        is_needed = with_map or self._record.score == "largest"
        heat = self._map(anomaly) if is_needed else None
        score = self._score(outputs, heat)
        clock.lap(POSTPROCESS)
        return Judged(
            score=score,
            map=heat if with_map else None,
            evidence={},
            timings_ms=clock.laps_ms,
        )

    def close(self) -> None:
        """See `Head.close`. There is nothing to give back."""

    def _map(self, anomaly: NDArray[np.float32]) -> NDArray[np.float32]:
        return anomaly_map(anomaly.reshape(-1), self._record.grid, self._size, self._record.map)

    def _score(self, outputs: Arrays, heat: NDArray[np.float32] | None) -> float:
        if self._record.score == "given":
            return float(finite(outputs[GIVEN_SCORE], giver="the network"))
        assert heat is not None, "the largest value of a map needs the map"
        return float(heat.max())


def _stage(name: str) -> Stage:
    return Stage(name=name, compared="largest", in_unit_of_score=False, most_tolerance=0.1)
