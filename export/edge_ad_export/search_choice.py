"""Exact search or HNSW? Measured on this bank, with real images, good and damaged."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import hnswlib
import numpy as np
from numpy.typing import NDArray

from edge_ad_export.config import ExportConfig
from edge_ad_runtime.errors import ExportError
from edge_ad_runtime.manifest import Scoring, SearchSettings
from edge_ad_runtime.score import patch_distances
from edge_ad_runtime.search import Search
from edge_ad_runtime.search.exact import ExactSearch
from edge_ad_runtime.search.hnsw import HnswSearch

_EF_SEARCHES = (16, 32, 64, 128, 256, 512)

Queries = Sequence[NDArray[np.float32]]  # per image (q, D)


def build_index(bank: NDArray[np.float32], path: Path, config: ExportConfig) -> None:
    """Write ``index.hnsw``; on one thread, so that the same bank gives the same graph."""
    index = hnswlib.Index(space="l2", dim=bank.shape[1])
    index.init_index(
        max_elements=len(bank), M=config.links, ef_construction=config.ef_construction,
        random_seed=config.seed,
    )  # fmt: skip
    index.add_items(bank, np.arange(len(bank)), num_threads=1)
    index.save_index(str(path))


def choose_search(
    bank: NDArray[np.float32],
    queries: Queries,
    scoring: Scoring,
    config: ExportConfig,
    index: Path,
) -> SearchSettings:
    """Decide the search; an index that is not kept is removed.

    Args:
        bank: ``(n, D)``.
        queries: patch features of held-out images and of damaged ones, ``(q, D)`` each.
        scoring: how distances become scores.
        config: the settings.
        index: where to write ``index.hnsw``.

    Raises:
        ExportError: ``hnsw`` was asked for and misses the tolerance at every ef tried.
    """
    if config.search == "exact":
        return _exact(len(bank), "asked for")
    build_index(bank, index, config)
    exact = _measure(ExactSearch(bank), queries, scoring)
    for ef in (ef for ef in _EF_SEARCHES if ef >= scoring.neighbours):
        search = HnswSearch(index, bank, ef_search=ef, squared=scoring.squared)
        trial = _measure(search, queries, scoring)
        error = trial.error(exact)
        if error <= config.map_tolerance or (config.search == "auto" and trial.ms > exact.ms):
            break
    fits = error <= config.map_tolerance
    compared = (
        f"hnsw at ef {ef} {trial.ms:.1f} ms per image with patch errors up to {error:.1g}, "
        f"exact {exact.ms:.1f} ms"
    )
    if config.search == "hnsw" and not fits:
        raise ExportError(
            f"hnsw misses the map tolerance {config.map_tolerance:g}: {compared}; use --search "
            "auto or exact, or raise --ef-construction or --map-tolerance"
        )
    if config.search == "auto" and not (fits and trial.ms < exact.ms):
        index.unlink()
        return _exact(len(bank), f"{'not faster' if fits else 'not within tolerance'}: {compared}")
    return SearchSettings(
        kind="hnsw",
        rows=len(bank),
        links=config.links,
        ef_construction=config.ef_construction,
        ef_search=ef,
        reason=f"{'faster' if config.search == 'auto' else 'asked for'}: {compared}",
    )


@dataclass(frozen=True)
class _Measured:
    ms: float
    distances: list[NDArray[np.float32]]

    def error(self, exact: _Measured) -> float:
        """Largest error of a patch distance, relative to its image's largest."""
        pairs = zip(self.distances, exact.distances, strict=True)
        return max(float((found - true).max() / max(true.max(), 1e-12)) for found, true in pairs)


def _measure(search: Search, queries: Queries, scoring: Scoring) -> _Measured:
    search.nearest(queries[0], scoring.neighbours)  # warm-up: page in the bank
    times_ms, distances = [], []
    for patches in queries:
        start = time.perf_counter()
        nearest = search.nearest(patches, scoring.neighbours)
        times_ms.append((time.perf_counter() - start) * 1e3)
        distances.append(patch_distances(nearest, scoring))
    return _Measured(float(np.median(times_ms)), distances)


def _exact(rows: int, reason: str) -> SearchSettings:
    return SearchSettings(
        kind="exact", rows=rows, links=0, ef_construction=0, ef_search=0, reason=reason
    )
