"""`Prediction`: what the detector says of one image, and its public record.

The record is the JSON of ``edge-ad score``, of ``edge-ad watch`` and of whatever else tells a
verdict to another machine. It is made here and nowhere else; keys are only ever added.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ad_runtime.decision.threshold import Verdict
from edge_ad_runtime.escaping import json_text
from edge_ad_runtime.heads import Evidence


@dataclass(frozen=True, kw_only=True, eq=False)
class Prediction:
    """What the detector says of one image.

    Attributes:
        score: raw, 0 upwards (of an ensemble: in units of what good images typically score);
            comparable only within one artifact.
        threshold: the artifact's own, in the same unit.
        verdict: ``anomalous`` if score > threshold, else ``good``.
        map: ``(H, W)`` float32 at the network's input size, in the unit of the score; None if it
            was not asked for.
        evidence: what only this kind of head knows. Of ``patch-search``: ``exact``, whether the
            score is certainly the exact search's, whatever an index missed; ``scanned``, how many
            patches were compared with the whole bank; ``bound``, the largest patch distance, in
            the unit of the score, among those that were not (the score is exact because the
            largest distance among the scanned is no smaller).
        timings_ms: milliseconds per stage: decode, preprocess, network, what the head times, total.
    """

    score: float
    threshold: float
    verdict: Verdict
    map: NDArray[np.float32] | None
    evidence: Evidence
    timings_ms: Mapping[str, float]

    def to_record(self, path: Path | str) -> dict[str, Any]:
        """The record of the verdict on the image at ``path``, for JSON."""
        return {
            "path": str(path),
            "score": self.score,
            "threshold": self.threshold,
            "verdict": self.verdict,
            **self.evidence,
            "timings_ms": {stage: round(ms, 3) for stage, ms in self.timings_ms.items()},
        }

    def to_json(self, path: Path | str) -> str:
        """`to_record` as one line."""
        return json_text(self.to_record(path))


def error_record(path: Path | str, error: Exception, *, threshold: float) -> dict[str, Any]:
    """The record of an image that has no verdict; it is never ``good``.

    Args:
        path: the image.
        error: why it could not be judged.
        threshold: the artifact's.
    """
    return {
        "path": str(path),
        "score": None,
        "threshold": threshold,
        "verdict": "error",
        "timings_ms": {},
        "error": str(error),
    }
