"""Exact search or HNSW, and with which settings? Measured on this bank, with real images.

The image score is exact in every search (see `edge_ad_runtime.search.certify`), so what an
approximate one may cost is a little of the map: its error is the mean error of the patch
distances relative to their mean.
"""

from __future__ import annotations

import errno
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Literal

import hnswlib
import numpy as np
from numpy.typing import NDArray

from edge_ad_export.settings import ExportConfig
from edge_ad_runtime.artifact.folder import INDEX, PROJECTION
from edge_ad_runtime.artifact.manifest import Scoring, SearchSettings
from edge_ad_runtime.errors import ExportError
from edge_ad_runtime.heads.patch_scoring import patch_distances
from edge_ad_runtime.search import Search
from edge_ad_runtime.search.codes import Codes
from edge_ad_runtime.search.exact import ExactSearch
from edge_ad_runtime.search.hnsw import HnswSearch

_CODE_DIMENSIONS = (64, 128)
_EF_SEARCHES = (4, 6, 8, 12, 16, 24, 32, 64, 128)
_CANDIDATES = (4, 8)
_ROUNDS = (1, 2)
_COVARIANCE_ROWS = 50_000
_IMAGES = 12  # that trials are measured on

Queries = Sequence[NDArray[np.float32]]  # per image (rows * cols, D)


def choose_search(
    bank: NDArray[np.float32],
    queries: Queries,
    scoring: Scoring,
    grid: tuple[int, int],
    config: ExportConfig,
    folder: Path,
) -> SearchSettings:
    """Decide the search and write its files.

    Args:
        bank: ``(n, D)``.
        queries: patch features of held-out images and of damaged ones, ``(rows * cols, D)`` each.
        scoring: how distances become scores.
        grid: ``(rows, cols)``.
        config: the settings.
        folder: where to write ``index.hnsw`` and ``projection.npy``.

    Raises:
        ExportError: ``hnsw`` was asked for and no settings meet the tolerance.
    """
    if config.search in ("exact", "graph"):
        return _without_index(config.search, len(bank), "asked for")
    queries = queries[:_IMAGES]
    exact = _measure(ExactSearch(bank), queries, scoring)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        trials = list(_trials(bank, queries, scoring, grid, config, Path(scratch), exact))
        settings = _decide(trials, exact, config)
        if settings.kind == "hnsw":
            for name in (INDEX, PROJECTION):
                (Path(scratch) / str(settings.code_dimension) / name).rename(folder / name)
    return settings


def _decide(trials: list[_Trial], exact: _Measured, config: ExportConfig) -> SearchSettings:
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
        return _without_index("exact", best.settings.rows, f"{why}: {compared}")
    why = "faster" if config.search == "auto" else "asked for"
    return replace(best.settings, reason=f"{why}: {compared}")


def fit_projection(bank: NDArray[np.float32], dimension: int) -> NDArray[np.float32]:
    """The bank's mean and its first principal axes, ``(dimension + 1, D)``."""
    mean = bank.mean(axis=0)
    step = -(-len(bank) // _COVARIANCE_ROWS)
    centred = (bank[::step] - mean).astype(np.float64)
    _, axes = np.linalg.eigh(centred.T @ centred)  # rising eigenvalues
    rows = np.vstack([mean, axes.T[::-1][:dimension]])
    return np.ascontiguousarray(rows, np.float32)


def build_index(
    bank: NDArray[np.float32], settings: SearchSettings, seed: int, folder: Path
) -> NDArray[np.float32]:
    """Write ``projection.npy`` and ``index.hnsw``; on one thread: the same bank, the same graph."""
    projection = fit_projection(bank, settings.code_dimension)
    codes = Codes(projection, bank).rows
    index = hnswlib.Index(space="l2", dim=codes.shape[1])
    index.init_index(
        max_elements=len(codes), M=settings.links, ef_construction=settings.ef_construction,
        random_seed=seed,
    )  # fmt: skip
    index.add_items(codes, np.arange(len(codes)), num_threads=1)
    index.save_index(str(folder / INDEX))  # which says nothing of a full disk
    if (folder / INDEX).stat().st_size != index.index_file_size():
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder / INDEX))
    np.save(folder / PROJECTION, projection, allow_pickle=False)
    return projection


@dataclass(frozen=True)
class _Trial:
    settings: SearchSettings
    ms: float
    error: float


def _trials(
    bank: NDArray[np.float32],
    queries: Queries,
    scoring: Scoring,
    grid: tuple[int, int],
    config: ExportConfig,
    folder: Path,
    exact: _Measured,
) -> Iterator[_Trial]:
    """Settings by rising breadth, per code dimension until the error is small enough.

    The files of each are left in a folder named for the dimension.
    """
    for dimension in sorted({min(d, bank.shape[1]) for d in _CODE_DIMENSIONS}):
        settings = SearchSettings(
            kind="hnsw",
            rows=len(bank),
            code_dimension=dimension,
            links=config.links,
            ef_construction=config.ef_construction,
            ef_search=1,
            candidates=1,
            rounds=1,
            reason="",
        )
        own = folder / str(dimension)
        own.mkdir()
        projection = build_index(bank, settings, config.seed, own)
        index = own / INDEX
        search = HnswSearch(
            np.fromfile(index, np.uint8), bank, projection, settings, path=index, grid=grid,
            squared=scoring.squared,
        )  # fmt: skip
        for ef in (ef for ef in _EF_SEARCHES if ef >= scoring.neighbours):
            trials = []
            for candidates, rounds in product(_CANDIDATES, _ROUNDS):
                if candidates > ef:
                    continue
                tried = replace(settings, ef_search=ef, candidates=candidates, rounds=rounds)
                search.use(tried)
                measured = _measure(search, queries, scoring)
                trials.append(_Trial(tried, measured.ms, measured.error(exact)))
            yield from trials
            if any(t.error <= config.map_tolerance for t in trials) or (
                config.search == "auto" and min(t.ms for t in trials) > exact.ms
            ):
                break


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


def _without_index(kind: Literal["exact", "graph"], rows: int, reason: str) -> SearchSettings:
    return SearchSettings(
        kind=kind, rows=rows, code_dimension=0, links=0, ef_construction=0, ef_search=0,
        candidates=0, rounds=0, reason=reason,
    )  # fmt: skip
