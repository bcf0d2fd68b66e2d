"""The ways to search that answer the same queries, and what each took to build."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.harness.clock import seconds, stopwatch
from benchmarks.search.features import GRID, FloatArray
from benchmarks.search.libraries import Find, installed
from edge_ad import PatchCoreConfig
from edge_ad_export import ExportConfig
from edge_ad_export.search.choice import choose_search
from edge_ad_export.search.index import IndexBuilder
from edge_ad_runtime.artifact.head_records import (
    BankRecord,
    ExactSearchRecord,
    HnswSearchRecord,
    PatchSearchRecord,
)
from edge_ad_runtime.heads.index_files import INDEX, PROJECTION
from edge_ad_runtime.search.exact import ExactSearch
from edge_ad_runtime.search.hnsw import HnswSearch


def methods(
    bank: FloatArray, held_out: list[FloatArray], folder: Path, about: dict[str, dict[str, Any]]
) -> dict[str, Find]:
    """How each finds nearest rows; what it took to build, in ``about``."""
    rows, width = bank.shape
    flat = 4 * rows * width
    finders: dict[str, Find] = {"numpy": plain(bank), "exact": nearest(ExactSearch(bank))}
    about["numpy"] = about["exact"] = {"bytes": flat}
    about["exact"] = dict(about["numpy"])

    choose_s, (ours, settings, index_bytes) = seconds(lambda: _chosen(bank, held_out, folder))
    about["edge_ad"] = {
        "choose_s": choose_s,
        "settings": asdict(settings),
        "bytes": flat + index_bytes,
        "index_bytes": index_bytes,
        "scanned": [ours.nearest(patches).scanned for patches in held_out],
    }
    finders["edge_ad"] = nearest(ours)
    for build in installed():
        elapsed_s = stopwatch()
        for label, finder, size in build(bank):
            about[label] = {"bytes": size, "build_s": elapsed_s()}
            finders[label] = finder
    for find in finders.values():
        find(held_out[0])  # page in
    return finders


def _chosen(
    bank: FloatArray, held_out: list[FloatArray], folder: Path
) -> tuple[HnswSearch, HnswSearchRecord, int]:
    """Our index as `export` would choose it, its settings, and its bytes."""
    rows, width = bank.shape
    fitted_with = PatchCoreConfig()
    head = PatchSearchRecord(
        grid=GRID,
        dimension=width,
        bank=BankRecord(rows=rows, precision="float32"),
        search=ExactSearchRecord(reason="not measured"),
        scoring=fitted_with.scoring,
        map=fitted_with.map,
    )
    with IndexBuilder(folder) as indexes:
        config = ExportConfig(search="hnsw")
        settings = choose_search(head, bank, held_out, config, indexes, folder)
    assert isinstance(settings, HnswSearchRecord), "asked for"
    projection = np.load(folder / PROJECTION)
    ours = read_index(folder / INDEX, bank, projection, settings)
    return ours, settings, (folder / INDEX).stat().st_size + projection.nbytes


def plain(bank: FloatArray) -> Find:
    """All distances in one matrix, as one would write it."""
    sq_norms = (bank * bank).sum(axis=1)

    def find(queries: FloatArray) -> NDArray[np.int64]:
        sq_distances = (queries * queries).sum(axis=1)[:, np.newaxis] + sq_norms
        sq_distances -= 2 * (queries @ bank.T)
        return np.asarray(sq_distances.argmin(axis=1))

    return find


def read_index(
    path: Path,
    bank: NDArray[np.float32],
    projection: NDArray[np.float32],
    settings: HnswSearchRecord,
) -> HnswSearch:
    content = np.fromfile(path, np.uint8)
    return HnswSearch(content, bank, projection, settings, path=path, grid=GRID)


def nearest(search: ExactSearch | HnswSearch) -> Find:
    return lambda queries: search.nearest(queries).rows[:, 0]


def distances(
    queries: FloatArray, bank: FloatArray, rows: NDArray[np.int64]
) -> NDArray[np.float64]:
    return np.asarray(np.linalg.norm(queries.astype(np.float64) - bank[rows], axis=1))
