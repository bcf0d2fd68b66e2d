"""`Prediction`: what the detector says of one image, and its public record.

The record is the JSON of ``edge-ad score``, of ``edge-ad watch`` and of whatever else tells a
verdict to another machine. It is made here and nowhere else. Keys are only ever added.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ad_runtime.decision.regions import Region
from edge_ad_runtime.decision.threshold import Verdict, is_above
from edge_ad_runtime.escaping import json_text
from edge_ad_runtime.heads import Evidence


@dataclass(frozen=True, kw_only=True, eq=False)
class Prediction:
    """What the detector says of one image.

    Attributes:
        score: the raw score. Scores can be compared only within one artifact. Most are distances,
            from 0 upwards. In an ensemble the unit is the score that good images typically have.
            Those of ``a-contrario`` are decades, of any sign.
        threshold: the artifact's own threshold, in the same unit.
        verdict: ``anomalous`` if score > threshold, else ``good``.
        map: ``(H, W)`` float32 at the network's input size. It is None if it was not asked for, or
            if the artifact maps anomalous images alone and this is none.
        evidence: what only this kind of head knows. ``patch-search`` gives three values. ``exact``
            says whether the score is certainly that of the exact search, whatever an index missed.
            ``scanned`` is the number of patches that were compared with the whole bank. ``bound``
            is the largest distance of the other patches, in the unit of the score. (The score is
            exact because the largest distance of the scanned patches is no smaller.)
            ``gallery-search`` gives ``mapped``, which says whether there is a map.
        timings_ms: the milliseconds of each stage: decode, preprocess, network, what the head
            times, and total.
        significance: ``(H, W)`` float32 in the unit of the score, which is above the threshold
            where the image is anomalous. It is None if the head has none, or no map was asked for.
        regions: where the image is anomalous, of the highest peak first, in pixels of the image as
            the camera gave it. The regions are those of `mask`, whatever the verdict: where the
            score is not the largest value of a map, a good image may have one, and an anomalous one
            none. It is None where `mask` is.
        map_in_unit_of_score: whether the map is known to be in the unit of the score. Others, such
            as SPADE's beside a score of pooled features, have no threshold.
        deciding: ``(top, left, height, width)`` in pixels of the image as it was read, of the
            patch whose distance is the score. A map is smoothed, so that a score can be over the
            threshold where no value of the map is: this patch is why. It is None of ensembles, and
            of heads whose score is no single patch's.
    """

    score: float
    threshold: float
    verdict: Verdict
    map: NDArray[np.float32] | None
    evidence: Evidence
    timings_ms: Mapping[str, float]
    significance: NDArray[np.float32] | None = None
    regions: tuple[Region, ...] | None = None
    map_in_unit_of_score: bool = False
    deciding: tuple[int, int, int, int] | None = None

    @property
    def mask(self) -> NDArray[np.bool_] | None:
        """Where the image is anomalous, ``(H, W)``.

        It is None if that is not known: there is no map, or it has another unit than the threshold.
        """
        values = decisive_values(self.map, self.significance, self.map_in_unit_of_score)
        return None if values is None else is_above(values, self.threshold)

    def to_record(self, path: Path | str) -> dict[str, Any]:
        """The record of the verdict on the image at ``path``, for JSON."""
        return {
            "path": str(path),
            "score": self.score,
            "threshold": self.threshold,
            "verdict": self.verdict,
            **self.evidence,
            **({} if self.deciding is None else {"deciding": list(self.deciding)}),
            **({} if self.regions is None else {"regions": [r.to_record() for r in self.regions]}),
            "timings_ms": {stage: round(ms, 3) for stage, ms in self.timings_ms.items()},
        }

    def to_json(self, path: Path | str) -> str:
        """`to_record` as one line."""
        return json_text(self.to_record(path))


def decisive_values(
    heat: NDArray[np.float32] | None,
    significance: NDArray[np.float32] | None,
    map_in_unit_of_score: bool,
) -> NDArray[np.float32] | None:
    """What is above the threshold where an image is anomalous. See `Prediction`.

    It is None if nothing is known that has the unit of the score.
    """
    if significance is not None:
        return significance
    return heat if map_in_unit_of_score else None


def error_record(path: Path | str, error: Exception, *, threshold: float) -> dict[str, Any]:
    """The record of an image that has no verdict. It is never ``good``.

    Args:
        path: the path of the image.
        error: why the image could not be judged.
        threshold: the artifact's threshold.
    """
    return {
        "path": str(path),
        "score": None,
        "threshold": threshold,
        "verdict": "error",
        "timings_ms": {},
        "error": str(error),
    }
