"""Artifacts that are uploaded, verified and swapped while images come at a pace."""

from __future__ import annotations

import shutil
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness.process import memory_bytes
from benchmarks.line.lines import PART, TINY, config, images, raw_config
from edge_ad_line.line import Line
from edge_ad_runtime.artifact.folder import Artifact
from edge_ad_runtime.decision.calibration import moved_to_threshold
from edge_ad_runtime.errors import ArtifactError
from edge_ad_runtime.proof.new_threshold import write_with_threshold


def swaps(folder: Path, *, count: int, rate: float) -> dict[str, Any]:
    """Swap between two artifacts, each uploaded and verified anew, and time every image.

    A third, with a byte flipped, is uploaded in between and must be refused.

    Returns:
        ``quiet_ms`` of images without swaps and ``swap_ms`` of those with them, ``refused``,
        ``memory_bytes`` taken, the time ``roll_back_s`` took, and ``faults`` in words.
    """
    sources = [TINY, _with_threshold(folder / "other.edgead")]
    broken = _flipped(folder / "broken.edgead")
    line = Line.open(config(raw_config(folder)))
    line.start()
    feed = _Feed(line, rate)
    feed.wait_for(max(50, count))
    quiet_ms, refused = feed.take(), 0
    before = memory_bytes("VmRSS")
    for i in range(count):
        sha256 = line.upload(PART, sources[(i + 1) % 2], user="bench")
        line.promote(PART, sha256, user="bench", reason="to measure")
        if i % 10 == 9:
            try:
                line.upload(PART, broken, user="bench")
            except ArtifactError:
                refused += 1
    taken = memory_bytes("VmRSS") - before
    swap_ms = feed.take()
    begun = time.monotonic()
    line.roll_back(PART, user="bench", reason="to measure")
    roll_back_s = time.monotonic() - begun
    results = feed.stop()
    line.drain()
    stored = line.store.results(limit=10**6)
    line.close()
    p99_ms = float(np.percentile(quiet_ms, 99))
    checks = {
        "a result was lost": {r.id for r in results} != {record["id"] for record in stored},
        "a number is missing": [r["seq"] for r in stored] != list(range(len(stored), 0, -1)),
        "an image was not judged": [r for r in results if r.verdict == "error"],
        "both artifacts did not judge": len({r.artifact for r in results}) != 2,
        "a damaged artifact was taken": refused != count // 10,
        "a roll back took more than 2 s": roll_back_s > 2,
    }
    return {
        "swaps": count,
        "rate": rate,
        "images": len(results),
        "refused": refused,
        "quiet_ms": quiet_ms,
        "swap_ms": swap_ms,
        "above_twice_p99": int(sum(ms > 2 * p99_ms for ms in swap_ms)),
        "memory_bytes": taken,
        "roll_back_s": roll_back_s,
        "faults": [what for what, found in checks.items() if found],
    }


class _Feed:
    """Scores images at a pace in a thread, and times each."""

    def __init__(self, line: Line, rate: float) -> None:
        self._line, self._rate = line, rate
        self._results: list[Any] = []
        self._ms: list[float] = []
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def wait_for(self, count: int) -> None:
        while len(self._ms) < count:
            time.sleep(0.05)

    def take(self) -> list[float]:
        """The milliseconds since the last call."""
        taken, self._ms = self._ms, []
        return [round(ms, 2) for ms in taken]

    def stop(self) -> list[Any]:
        self._stopped.set()
        self._thread.join()
        return self._results

    def _run(self) -> None:
        content, due = images(), time.monotonic()
        while not self._stopped.is_set():
            due += 1 / self._rate
            asked = time.monotonic()
            self._results.append(self._line.score(PART, next(content)))
            self._ms.append((time.monotonic() - asked) * 1000)
            time.sleep(max(0.0, due - time.monotonic()))


def _with_threshold(out: Path) -> Path:
    artifact = Artifact.open(TINY)
    calibration = moved_to_threshold(artifact.manifest.calibration, 0.9, artifact.manifest.sha256)
    write_with_threshold(artifact, calibration, out, threads=1)
    return out


def _flipped(out: Path) -> Path:
    shutil.copytree(TINY, out)
    content = bytearray((out / "bank.npy").read_bytes())
    content[-100] ^= 1
    (out / "bank.npy").write_bytes(content)
    return out
