"""The search that an artifact carries, for records."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from edge_ad_runtime.artifact.head_records import PatchSearchRecord
from edge_ad_runtime.artifact.schema import Manifest


def search_of(manifest: Manifest) -> dict[str, Any]:
    """Its kind, its settings and the measurement that decided, of the first member."""
    head = manifest.members[0].head
    assert isinstance(head, PatchSearchRecord), "benchmarks export PatchCore"
    return asdict(head.search)
