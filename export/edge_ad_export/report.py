"""What an export made and measured."""

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
        size_bytes: of all its files.
        output_difference: largest difference of ONNX Runtime's outputs from torch's, relative to
            the largest value.
        searches: the chosen search with its reason, per member that searches.
        networks: how the graph's precision was made, per member.
        precision_loss: what it costs; None for ``fp32``.
        plans: what TensorRT has compiled for this machine's GPU, if it is for that.
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
