"""The report that an export returns."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edge_ad_runtime.artifact.schema import PrecisionLoss
from edge_ad_runtime.proof.verify import VerifyReport


@dataclass(frozen=True, kw_only=True)
class ExportReport:
    """What an export made and measured.

    Attributes:
        path: the artifact.
        size_bytes: the size of all its files.
        output_difference: the largest difference of ONNX Runtime's outputs from torch's, relative
            to the largest value.
        searches: for each member that searches the chosen search, with the reason.
        networks: for each member how the graph's precision was made.
        precision_loss: what the precision costs. None for ``fp32``.
        plans: what TensorRT has compiled for this machine's GPU, if the artifact is for TensorRT.
        verification: the artifact replayed with the runtime before it was put in place.
    """

    path: Path
    size_bytes: int
    output_difference: float
    searches: tuple[str, ...]
    networks: tuple[str, ...]
    precision_loss: PrecisionLoss | None
    plans: tuple[str, ...]
    verification: VerifyReport
