"""Ways started a few times, then asked for the same images in turn; and what their scores say.

A way that cannot start, or ends on the way, has ``refused`` in the place of its samples.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.harness.clock import seconds
from benchmarks.peers.environments import Environment
from benchmarks.peers.process import Peer, PeerError
from benchmarks.peers.ways import REFERENCE, Way
from edge_ad.evaluation.metrics import auroc

STARTS = 3
PAUSE_S = 0.05  # the threads of the process before may spin a while

_KEPT = ("name", "environment", "truth", "images_per_call")
_Rows = dict[Way, dict[str, Any]]


def measure(
    ways: Sequence[Way], made: dict[str, Environment], folder: Path, count: int
) -> list[dict[str, Any]]:
    """Start each way a few times, then have all score the ``count`` images of ``test.npy``."""
    rows: _Rows = {
        way: {
            **{key: getattr(way, key) for key in _KEPT},
            "cold_start_ms": [],
            "ms": [],
            "scores": [],
        }
        for way in ways
    }
    peers: dict[Way, Peer] = {}
    for _ in range(STARTS):
        while peers:
            peers.popitem()[1].close()
        for way in _running(rows):
            try:
                elapsed_s, peers[way] = seconds(partial(_start, way, made, folder))
                rows[way]["cold_start_ms"].append(elapsed_s * 1e3)
            except PeerError as exc:
                rows[way]["refused"] = str(exc)
    _score(rows, peers, count)
    for way in _running(rows):
        peers[way].close()
    return [
        {key: row[key] for key in (*_KEPT, "refused")} if "refused" in row else row
        for row in rows.values()
    ]


def _running(rows: _Rows) -> list[Way]:
    return [way for way, row in rows.items() if "refused" not in row]


def _start(way: Way, made: dict[str, Environment], folder: Path) -> Peer:
    if way.refused is not None:
        raise PeerError(way.refused)
    images = str(folder / "test.npy")
    module = made[way.environment].start(folder, *way.command, images)
    return Peer(module, [0] * way.images_per_call)


def _score(rows: _Rows, peers: dict[Way, Peer], count: int) -> None:
    """Each image by all, before the next one comes."""
    for i in range(count):
        for way in _running(rows):
            time.sleep(PAUSE_S)
            try:
                answer = peers[way].score([(i + j) % count for j in range(way.images_per_call)])
            except PeerError as exc:
                rows[way]["refused"] = str(exc)
                continue
            rows[way]["ms"].append(answer.ms)
            rows[way]["scores"].append(answer.scores[0])
            rows[way]["peak_memory_bytes"] = answer.peak_memory_bytes


def judge(
    measured: list[dict[str, Any]], reference_scores: list[float], is_defective: NDArray[np.bool_]
) -> None:
    """Add to each way how well its scores rank, and how far they are from what they should be."""
    ran = [row for row in measured if "refused" not in row]
    every = {row["name"]: np.array(row["scores"]) for row in ran}
    every[REFERENCE] = np.array(reference_scores)
    for row in ran:
        scores, truth = every[row["name"]], every.get(row["truth"])
        row["image_auroc"] = auroc(scores, is_defective)
        row["largest_relative_score_difference"] = (
            None if truth is None else float(np.max(np.abs(scores / truth - 1)))
        )
