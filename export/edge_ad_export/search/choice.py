"""Exact search or HNSW, and with which settings? Measured on this bank, with real images.

The image score is exact in every search (see `edge_ad_runtime.search.certify`), so what an
approximate one may cost is a little of the map: its error is the mean error of the patch
distances relative to their mean.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_ad_export.search.index import build_index
from edge_ad_export.settings import ExportConfig
from edge_ad_runtime.artifact.head_records import (
    ExactSearchRecord,
    GraphSearchRecord,
    HnswSearchRecord,
    PatchSearchRecord,
    Scoring,
    SearchRecord,
)
from edge_ad_runtime.errors import ExportError
from edge_ad_runtime.heads.patch_scoring import patch_distances
from edge_ad_runtime.heads.patch_search import INDEX, PROJECTION
from edge_ad_runtime.search import Search
from edge_ad_runtime.search.exact import ExactSearch
from edge_ad_runtime.search.hnsw import HnswSearch

_CODE_DIMENSIONS = (64, 128)
_EF_SEARCHES = (4, 6, 8, 12, 16, 24, 32, 64, 128)
_CANDIDATES = (4, 8)
_ROUNDS = (1, 2)
_IMAGES = 12  # the images that trials are measured on

Queries = Sequence[NDArray[np.float32]]  # per image (rows * cols, D)


def choose_search(
    head: PatchSearchRecord,
    bank: NDArray[np.float32],
    queries: Queries,
    config: ExportConfig,
    folder: Path,
) -> SearchRecord:
    """Decide the search and write its files.

    Args:
        head: what is searched, and how distances become scores.
        bank: ``(n, D)``.
        queries: patch features of held-out images and of damaged ones, ``(rows * cols, D)`` each.
        config: the settings.
        folder: where to write ``index.hnsw`` and ``projection.npy``.

    Raises:
        ExportError: ``hnsw`` was asked for and no settings meet the tolerance.
    """
    if config.search == "exact":
        return ExactSearchRecord(reason="asked for")
    if config.search == "graph":
        return GraphSearchRecord(reason="asked for")
    queries = queries[:_IMAGES]
    exact = _measure(ExactSearch(bank), queries, head.scoring)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        job = _Job(head, bank, queries, config, Path(scratch), exact)
        search = _decide(list(_trials(job)), exact, config)
        if isinstance(search, HnswSearchRecord):
            for name in (INDEX, PROJECTION):
                (Path(scratch) / str(search.code_dimension) / name).rename(folder / name)
    return search


def _decide(trials: list[_Trial], exact: _Measured, config: ExportConfig) -> SearchRecord:
    """The fastest trial within tolerance, or exact search."""
    fitting = [trial for trial in trials if trial.error <= config.map_tolerance]
    best = min(fitting or trials, key=lambda trial: trial.ms if fitting else trial.error)
    compared = (
        f"hnsw {best.ms:.1f} ms per image with a map error of {best.error:.1g}, "
        f"exact {exact.ms:.1f} ms"
    )
    if config.search == "hnsw" and not fitting:
        raise ExportError(
            f"hnsw misses the map tolerance {config.map_tolerance:g}: at best {compared}; use "
            "--search auto or exact, or raise --links, --ef-construction or --map-tolerance"
        )
    if config.search == "auto" and not (fitting and best.ms < exact.ms):
        why = "not faster" if fitting else "not within tolerance"
        return ExactSearchRecord(reason=f"{why}: {compared}")
    why = "faster" if config.search == "auto" else "asked for"
    return replace(best.settings, reason=f"{why}: {compared}")


@dataclass(frozen=True)
class _Trial:
    settings: HnswSearchRecord
    ms: float
    error: float


@dataclass(frozen=True)
class _Job:
    """What all trials share. ``exact`` is what they are compared with."""

    head: PatchSearchRecord
    bank: NDArray[np.float32]
    queries: Queries
    config: ExportConfig
    folder: Path
    exact: _Measured


def _trials(job: _Job) -> Iterator[_Trial]:
    """For each code dimension, try settings of rising breadth until the error is small enough.

    The files of each dimension are left in a folder named for it.
    """
    for dimension in sorted({min(d, job.bank.shape[1]) for d in _CODE_DIMENSIONS}):
        settings = HnswSearchRecord(
            code_dimension=dimension,
            links=job.config.links,
            ef_construction=job.config.ef_construction,
            ef_search=1,
            candidates=1,
            rounds=1,
            reason="",
        )
        search = _indexed(job, settings)
        for ef in (ef for ef in _EF_SEARCHES if ef >= job.head.scoring.neighbours):
            trials = list(_trials_of_breadth(job, search, replace(settings, ef_search=ef)))
            yield from trials
            if any(t.error <= job.config.map_tolerance for t in trials) or (
                job.config.search == "auto" and min(t.ms for t in trials) > job.exact.ms
            ):
                break
        search.close()


def _indexed(job: _Job, settings: HnswSearchRecord) -> HnswSearch:
    """The bank's index, written and loaded again as a device does."""
    own = job.folder / str(settings.code_dimension)
    own.mkdir()
    projection = build_index(job.bank, settings, job.config.seed, own)
    index = own / INDEX
    return HnswSearch(
        np.fromfile(index, np.uint8), job.bank, projection, settings, path=index,
        grid=job.head.grid, squared=job.head.scoring.squared,
    )  # fmt: skip


def _trials_of_breadth(
    job: _Job, search: HnswSearch, settings: HnswSearchRecord
) -> Iterator[_Trial]:
    for candidates, rounds in product(_CANDIDATES, _ROUNDS):
        if candidates > settings.ef_search:
            continue
        tried = replace(settings, candidates=candidates, rounds=rounds)
        search.use(tried)
        measured = _measure(search, job.queries, job.head.scoring)
        yield _Trial(tried, measured.ms, measured.error(job.exact))


@dataclass(frozen=True)
class _Measured:
    ms: float
    distances: list[NDArray[np.float32]]

    def error(self, exact: _Measured) -> float:
        """Mean error relative to the mean distance, over all images."""
        found, true = np.concatenate(self.distances), np.concatenate(exact.distances)
        return float((found - true).mean()) / max(float(true.mean()), 1e-12)


def _measure(search: Search, queries: Queries, scoring: Scoring) -> _Measured:
    search.nearest(queries[0], scoring.neighbours)  # warm-up: page in the bank
    times_ms, distances = [], []
    for patches in queries:
        start = time.perf_counter()
        nearest = search.nearest(patches, scoring.neighbours)
        times_ms.append((time.perf_counter() - start) * 1e3)
        distances.append(patch_distances(nearest, scoring))
    return _Measured(float(np.median(times_ms)), distances)
