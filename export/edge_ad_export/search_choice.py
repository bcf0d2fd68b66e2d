"""Exact search or HNSW? Measured on this bank, with real images, good and damaged."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import hnswlib
import numpy as np
from numpy.typing import NDArray

from edge_ad.bank import Bank
from edge_ad_export.config import ExportConfig
from edge_ad_runtime.errors import ExportError
from edge_ad_runtime.manifest import Scoring, SearchSettings
from edge_ad_runtime.score import image_score, patch_distances
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
    bank: Bank, queries: Queries, scoring: Scoring, config: ExportConfig, index: Path
) -> SearchSettings:
    """Decide the search; an index that is not kept is removed.

    Args:
        bank: the memory bank.
        queries: patch features of held-out images and of damaged ones, ``(q, D)`` each.
        scoring: how distances become scores.
        config: the settings.
        index: where to write ``index.hnsw``.

    Raises:
        ExportError: ``hnsw`` was asked for and misses the tolerances at every ef tried.
    """
    rows = len(bank.features)
    if config.search == "exact":
        return _exact(rows, "asked for")
    build_index(bank.features, index, config)
    exact = _measure(ExactSearch(bank.features), bank, queries, scoring)
    trials = []
    for ef in (ef for ef in _EF_SEARCHES if ef >= scoring.neighbours):
        trial = _measure(HnswSearch(index, bank.features, ef_search=ef), bank, queries, scoring)
        trials.append((ef, trial))
        too_slow = config.search == "auto" and trial.ms > exact.ms
        if too_slow or _fits(trial, exact, config):
            break
    ef, best = trials[-1]
    fits = _fits(best, exact, config)
    errors = f"score error {best.score_error(exact):.1g}, patch error {best.patch_error(exact):.1g}"
    compared = f"hnsw at ef {ef} {best.ms:.1f} ms per image with {errors}, exact {exact.ms:.1f} ms"
    if config.search == "hnsw" and not fits:
        raise ExportError(
            f"hnsw misses the tolerances (score {config.search_tolerance:g}, patch "
            f"{config.map_tolerance:g}) up to ef {ef}: {errors}; use --search auto or exact, or "
            "raise --ef-construction"
        )
    if config.search == "auto" and not (fits and best.ms < exact.ms):
        index.unlink()
        why = "not faster" if best.ms >= exact.ms else "not within tolerance"
        return _exact(rows, f"hnsw {why}: {compared}")
    return SearchSettings(
        kind="hnsw",
        rows=rows,
        links=config.links,
        ef_construction=config.ef_construction,
        ef_search=ef,
        reason=("faster: " if config.search == "auto" else "asked for: ") + compared,
    )


@dataclass(frozen=True)
class _Measured:
    ms: float
    scores: NDArray[np.float64]  # (images,)
    distances: list[NDArray[np.float32]]

    def score_error(self, exact: _Measured) -> float:
        """Largest relative error of an image score."""
        return float(np.max(np.abs(self.scores - exact.scores) / np.maximum(exact.scores, 1e-12)))

    def patch_error(self, exact: _Measured) -> float:
        """Largest error of a patch distance, relative to its image's largest."""
        pairs = zip(self.distances, exact.distances, strict=True)
        return max(float((found - true).max() / max(true.max(), 1e-12)) for found, true in pairs)


def _measure(search: Search, bank: Bank, queries: Queries, scoring: Scoring) -> _Measured:
    search.nearest(queries[0], scoring.neighbours)  # warm-up: page in the bank
    times_ms, scores, distances = [], [], []
    for patches in queries:
        start = time.perf_counter()
        nearest = search.nearest(patches, scoring.neighbours)
        times_ms.append((time.perf_counter() - start) * 1e3)
        distances.append(patch_distances(nearest, scoring))
        scores.append(image_score(patches, distances[-1], nearest, bank.features, bank.neighbours))
    return _Measured(float(np.median(times_ms)), np.array(scores), distances)


def _fits(trial: _Measured, exact: _Measured, config: ExportConfig) -> bool:
    return (
        trial.score_error(exact) <= config.search_tolerance
        and trial.patch_error(exact) <= config.map_tolerance
    )


def _exact(rows: int, reason: str) -> SearchSettings:
    return SearchSettings(
        kind="exact", rows=rows, links=0, ef_construction=0, ef_search=0, reason=reason
    )
