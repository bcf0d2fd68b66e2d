"""Two artifacts at once: from two threads of one process, from two processes, one after the other.

    python -m benchmarks.together.measure [--rounds 6]

Each detector has half of the cores. What a server that holds two artifacts loses by being one
process is the ratio of the first to the second.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.harness.clock import seconds
from benchmarks.harness.datasets import read_data_set
from benchmarks.harness.record import (
    add_draft_option,
    check_tree,
    data_root,
    imagenet_resnet18,
    write_record,
)
from edge_ad import PatchCoreConfig, fit
from edge_ad_export import ExportConfig, export
from edge_ad_runtime import Detector

# Scores its images for every line of stdin.
SERVE = """
import json, sys
from edge_ad_runtime import Detector
detector = Detector.load(sys.argv[1], threads=int(sys.argv[2]))
images = json.loads(sys.argv[3])
for line in sys.stdin:
    for image in images:
        detector.predict(image)
    print("done", flush=True)
"""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--images", type=int, default=20, help="a round and artifact")
    add_draft_option(parser)
    options = parser.parse_args()
    commit = check_tree(draft=options.draft)
    data = read_data_set(data_root() / "data/magnetic-tile")
    images = [str(image.path) for image in data.test[: options.images]]
    threads = max(1, (os.cpu_count() or 2) // 2)
    with tempfile.TemporaryDirectory() as folder:
        artifacts = make(data.good[:170], Path(folder))
        ways = {
            "one after the other": in_turn(artifacts, images, threads),
            "two threads": in_threads(artifacts, images, threads),
            "two processes": in_processes(artifacts, images, threads),
        }
        for way in ways.values():
            way()
        found: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(options.rounds):
            for name, way in ways.items():
                found[name].append(seconds(way)[0])
    for name, taken in found.items():
        print(f"{name}: {2 * len(images) / np.median(taken):.1f} images/s")
    write_record("together", commit, {"images": 2 * len(images), "seconds": found})


def make(good: Sequence[Path], folder: Path) -> list[Path]:
    """Two artifacts with an index each, of different banks."""
    artifacts = []
    for i in range(2):
        config = PatchCoreConfig(weights=imagenet_resnet18(), seed=i, holdout_fraction=1 / 17)
        artifacts.append(folder / f"{i}.edgead")
        export(fit(good, config), artifacts[-1], ExportConfig(search="hnsw"))
    return artifacts


def in_turn(artifacts: Sequence[Path], images: Sequence[str], threads: int) -> Callable[[], object]:
    """One artifact's images, then the other's."""
    detectors = [Detector.load(artifact, threads=threads) for artifact in artifacts]

    def work() -> None:
        for detector in detectors:
            _score(detector, images)

    return work


def in_threads(
    artifacts: Sequence[Path], images: Sequence[str], threads: int
) -> Callable[[], object]:
    """A thread of this process for each artifact."""
    detectors = [Detector.load(artifact, threads=threads) for artifact in artifacts]
    pool = ThreadPoolExecutor(len(detectors))
    return lambda: list(pool.map(partial(_score, images=images), detectors))


def in_processes(
    artifacts: Sequence[Path], images: Sequence[str], threads: int
) -> Callable[[], object]:
    """A process for each artifact; they wait to be told."""
    servers = [
        subprocess.Popen(
            [sys.executable, "-c", SERVE, str(artifact), str(threads), json.dumps(images)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for artifact in artifacts
    ]

    def work() -> None:
        for server in servers:
            assert server.stdin is not None
            print("go", file=server.stdin, flush=True)
        for server in servers:
            assert server.stdout is not None
            assert server.stdout.readline() == "done\n"

    return work


def _score(detector: Detector, images: Sequence[str]) -> None:
    for image in images:
        detector.predict(image)


if __name__ == "__main__":
    main()
