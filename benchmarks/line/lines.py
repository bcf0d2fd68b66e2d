"""Lines to try things on: the tests' small artifact, its images, and a folder of one's own."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.harness.process import ROOT
from edge_ad_line.config import LineConfig
from edge_ad_runtime.artifact import strict

TINY = ROOT / "tests/runtime/tiny.edgead"
PART = "plate"


def raw_config(folder: Path, **more: Any) -> dict[str, Any]:
    """The settings of a line in ``folder``, as JSON, so that another process can have them."""
    return {
        "device": {"site": "bench", "name": "dev", "data": str(folder / "data")},
        "part": [{"name": PART, "artifact": str(TINY), "threads": 1}],
        "store": {"reserve_bytes": 1 << 20},
        **more,
    }


def config(raw: dict[str, Any]) -> LineConfig:
    """The settings."""
    return strict.parse(LineConfig, json.loads(json.dumps(raw)))


def images() -> Iterator[bytes]:
    """A good image and a damaged one, for ever."""
    return itertools.cycle(path.read_bytes() for path in sorted(TINY.glob("reference/*.png")))
