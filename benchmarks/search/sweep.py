"""Every knob of our index: what each setting costs, and how far off its map is."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.harness.clock import seconds
from benchmarks.search.features import FloatArray
from benchmarks.search.methods import distances, nearest, read_index
from edge_ad_export.search.index import build_index
from edge_ad_runtime.artifact.head_records import HnswSearchRecord
from edge_ad_runtime.heads.index_files import INDEX
from edge_ad_runtime.search.exact import ExactSearch
from edge_ad_runtime.search.hnsw import HnswSearch

SWEEP = {  # code dimension, links; then breadth, candidates, rounds
    "code_dimension": (32, 64, 128),
    "links": (8, 16),
    "ef_search": (4, 8, 16, 32),
    "candidates": (4, 8),
    "rounds": (0, 1, 2),
}


def sweep(bank: FloatArray, test: list[FloatArray]) -> list[dict[str, Any]]:
    """Time, error of the map and bytes per row at every setting."""
    true = [distances(p, bank, nearest(ExactSearch(bank))(p)) for p in test]
    results = []
    for dimension, links in product(SWEEP["code_dimension"], SWEEP["links"]):
        settings = HnswSearchRecord(
            code_dimension=dimension, links=links,
            ef_construction=200, ef_search=4, candidates=4, rounds=0, reason="",
        )  # fmt: skip
        with tempfile.TemporaryDirectory() as folder:
            projection = build_index(bank, settings, 0, Path(folder))
            size = (Path(folder) / INDEX).stat().st_size + projection.nbytes
            search = read_index(Path(folder) / INDEX, bank, projection, settings)
        for breadth in _breadths():
            search.use(replace(settings, **breadth))  # type: ignore[arg-type]
            results.append({
                "code_dimension": dimension, "links": links, **breadth,
                **_measured(search, bank, test, true), "index_bytes_per_row": size / len(bank),
            })  # fmt: skip
    return results


def _breadths() -> Iterator[dict[str, int]]:
    """Settings that an index is used with, as opposed to built with."""
    for ef, candidates, rounds in product(SWEEP["ef_search"], SWEEP["candidates"], SWEEP["rounds"]):
        if candidates <= ef:
            yield {"ef_search": ef, "candidates": candidates, "rounds": rounds}


def _measured(
    search: HnswSearch,
    bank: FloatArray,
    test: list[FloatArray],
    true: list[NDArray[np.float64]],
) -> dict[str, float]:
    times_ms, errors, scanned = [], [], []
    for patches, expected in zip(test, true, strict=True):
        took_s, found = seconds(partial(search.nearest, patches))
        times_ms.append(took_s * 1e3)
        own = distances(patches, bank, found.rows[:, 0])
        errors.append(float((own - expected).mean() / expected.mean()))
        scanned.append(found.scanned)
    return {
        "ms": float(np.median(times_ms)),
        "map_error_mean": float(np.mean(errors)),
        "scanned_mean": float(np.mean(scanned)),
    }
