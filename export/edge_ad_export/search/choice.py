"""Exact search or HNSW, and with which settings? Measured on this bank, with real images.

The image score is exact in every search (see `edge_ad_runtime.search.certify`), so what an
approximate one may cost is a little of the map: its error is the mean error of the patch
distances relative to their mean.

Settings of HNSW are compared one image after the other. The best of them is then compared with the
exact search as on a line, where images come with pauses: caches have been used by others, and
threads sleep. There an index gains less than it does at full speed.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_ad_export.search.index import IndexBuilder
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
from edge_ad_runtime.heads.index_files import INDEX, PROJECTION
from edge_ad_runtime.heads.patch_scoring import patch_distances
from edge_ad_runtime.search import Search
from edge_ad_runtime.search.exact import ExactSearch
from edge_ad_runtime.search.hnsw import HnswSearch

_CODE_DIMENSIONS = (47, 63, 127)  # with the length left out, multiples of what SIMD takes at once
_EF_SEARCHES = (4, 6, 8, 12, 16, 24, 32, 64, 128)
_CANDIDATES = (8, 4)
_ROUNDS = (2, 1)
_IMAGES = 8  # the images that trials are measured on
_PAUSE_S = 0.05  # between the images of the last comparison
_WORTHWHILE = 0.8  # of the exact search's time at most, for a map that is not exact and more files

Queries = Sequence[NDArray[np.float32]]  # per image (rows * cols, D)


def choose_search(
    head: PatchSearchRecord,
    bank: NDArray[np.float32],
    queries: Queries,
    config: ExportConfig,
    indexes: IndexBuilder,
    folder: Path,
) -> SearchRecord:
    """Decide the search and write its files.

    Args:
        head: what is searched, and how distances become scores.
        bank: ``(n, D)``.
        queries: patch features of held-out images and of damaged ones, ``(rows * cols, D)`` each.
        config: the settings.
        indexes: builds the indexes that are tried. See `start_index`.
        folder: where to write ``index.hnsw`` and ``projection.npy``.

    Raises:
        ExportError: ``hnsw`` was asked for and no settings meet the tolerance.
    """
    if config.search == "exact":
        return ExactSearchRecord(reason="asked for")
    if config.search == "graph":
        return GraphSearchRecord(reason="asked for")
    queries = queries[:_IMAGES]
    middle = _settings(config, _code_dimensions(bank)[1])
    indexes.built(bank, middle, config.seed)  # nothing is timed beside it
    exact = _measure(ExactSearch(bank), queries, head.scoring)
    job = _Job(head, bank, queries, config, indexes, exact)
    search = _decide(list(_trials(job)), job)
    if isinstance(search, HnswSearchRecord):
        built = _index(job, search)
        for name in (INDEX, PROJECTION):
            (built / name).rename(folder / name)
    return search


def start_index(bank: NDArray[np.float32], config: ExportConfig, indexes: IndexBuilder) -> None:
    """Begin to build the index that `choose_search` tries first, if it will try any."""
    if config.search in ("auto", "hnsw"):
        settings = _settings(config, _code_dimensions(bank)[1])
        indexes.start(np.asarray(bank, np.float32), settings, config.seed)


def _decide(trials: list[_Trial], job: _Job) -> SearchRecord:
    """The fastest trial within tolerance, or exact search."""
    config = job.config
    fitting = [trial for trial in trials if trial.error <= config.map_tolerance]
    best = min(fitting or trials, key=lambda trial: trial.ms if fitting else trial.error)
    hnsw_ms, exact_ms = _as_on_a_line(job, best.settings)
    compared = (
        f"hnsw {hnsw_ms:.1f} ms per image with a map error of {best.error:.1g}, "
        f"exact {exact_ms:.1f} ms"
    )
    if config.search == "hnsw" and not fitting:
        raise ExportError(
            f"hnsw misses the map tolerance {config.map_tolerance:g}: at best {compared}; use "
            "--search auto or exact, or raise --links, --ef-construction or --map-tolerance"
        )
    if config.search == "auto" and not (fitting and hnsw_ms < _WORTHWHILE * exact_ms):
        why = "not faster by a fifth" if fitting else "not within tolerance"
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
    indexes: IndexBuilder
    exact: _Measured


def _trials(job: _Job) -> Iterator[_Trial]:
    """Settings of rising breadth, for codes of the middle dimension and then perhaps of another.

    An index takes as long to build as its trials. So wider codes are tried only where no breadth is
    within tolerance, and narrower ones where the smallest is: codes that need a broader search than
    that need one broader still if they are narrower.
    """
    narrow, middle, wide = _code_dimensions(job.bank)
    trials = list(_trials_of_index(job, middle))
    yield from trials
    if trials[0].error <= job.config.map_tolerance:
        other = narrow
    elif any(trial.error <= job.config.map_tolerance for trial in trials) or _gives_up(
        job, trials[-1]
    ):
        return
    else:
        other = wide
    if other != middle:
        yield from _trials_of_index(job, other)


def _code_dimensions(bank: NDArray[np.float32]) -> tuple[int, ...]:
    """The narrow, the middle and the wide codes, none wider than the bank."""
    return tuple(min(dimension, bank.shape[1]) for dimension in _CODE_DIMENSIONS)


def _settings(config: ExportConfig, dimension: int) -> HnswSearchRecord:
    return HnswSearchRecord(
        code_dimension=dimension,
        links=config.links,
        ef_construction=config.ef_construction,
        ef_search=1,
        candidates=1,
        rounds=1,
        reason="",
    )


def _trials_of_index(job: _Job, dimension: int) -> Iterator[_Trial]:
    """Build an index, and try breadths until the error is small enough."""
    settings = _settings(job.config, dimension)
    search = _opened(job, settings)
    for ef in (ef for ef in _EF_SEARCHES if ef >= job.head.scoring.neighbours):
        trials = _trials_of_breadth(job, search, replace(settings, ef_search=ef))
        thorough = next(trials)
        yield thorough
        if thorough.error <= job.config.map_tolerance:
            yield from trials
            break
        if _gives_up(job, thorough):  # the others of this breadth would miss it by more
            break
    search.close()


def _gives_up(job: _Job, trial: _Trial) -> bool:
    """Whether a broader search is not worth a trial: this one takes longer than the exact one."""
    return job.config.search == "auto" and trial.ms > job.exact.ms


def _index(job: _Job, settings: HnswSearchRecord) -> Path:
    """The folder with the index of these settings, which is built where it is not there."""
    return job.indexes.built(job.bank, settings, job.config.seed)


def _opened(job: _Job, settings: HnswSearchRecord) -> HnswSearch:
    """An index, loaded as a device does."""
    index = _index(job, settings) / INDEX
    return HnswSearch(
        np.fromfile(index, np.uint8), job.bank, np.load(index.with_name(PROJECTION)), settings,
        path=index, grid=job.head.grid, squared=job.head.scoring.squared,
    )  # fmt: skip


def _as_on_a_line(job: _Job, settings: HnswSearchRecord) -> tuple[float, float]:
    """Milliseconds of HNSW and of exact search for an image that comes after a pause."""
    hnsw, exact = _opened(job, settings), ExactSearch(job.bank)
    k = job.head.scoring.neighbours
    times_ms: dict[Search, list[float]] = {hnsw: [], exact: []}
    for patches in job.queries:
        for search, measured_ms in times_ms.items():
            time.sleep(_PAUSE_S)
            start = time.perf_counter()
            search.nearest(patches, k)
            measured_ms.append((time.perf_counter() - start) * 1e3)
    hnsw.close()
    return float(np.median(times_ms[hnsw])), float(np.median(times_ms[exact]))


def _trials_of_breadth(
    job: _Job, search: HnswSearch, settings: HnswSearchRecord
) -> Iterator[_Trial]:
    """The most thorough first, each when it is asked for."""
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
