"""The sets that all are measured on: photographs, and drawn parts with masks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.harness.datasets import DataSet, read_data_set
from benchmarks.harness.record import data_root
from benchmarks.settings.drawn import DRAWN, write_set

_PHOTOGRAPHED = {
    "magnetic tile": "magnetic-tile",
    "hazelnut, reduced": "mvtec-mini/hazelnut_reduced",
    "transistor, reduced": "mvtec-mini/transistor_reduced",
}
SETS = (*_PHOTOGRAPHED, *DRAWN)
MOST_GOOD = 300  # images are learned from: the peers' ways take minutes with more


def read_set(name: str, scratch: Path) -> DataSet:
    """One of `SETS`. Drawn parts are drawn into ``scratch``, the same each time."""
    if name in _PHOTOGRAPHED:
        return _with_most(read_data_set(data_root() / "data" / _PHOTOGRAPHED[name]))
    folder = scratch / name
    write_set(name, folder, good=100)
    return read_data_set(folder)


def _with_most(data: DataSet) -> DataSet:
    """At most so many good images, drawn by lot."""
    if len(data.good) <= MOST_GOOD:
        return data
    drawn = np.random.default_rng(0).permutation(len(data.good))[:MOST_GOOD]
    return replace(data, good=tuple(data.good[i] for i in sorted(drawn)))
