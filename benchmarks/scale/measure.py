"""Bank building at the size of 5,000 images, memory measured: python -m benchmarks.scale.measure.

Patch features of 320 magnetic tiles (as in `benchmarks.coreset`), repeated with noise to as many
rows as asked, and four times side by side to 1,536 columns, written to the scratch file that `fit`
uses; then the bank is built from there, 1% of it. Each size in a process of its own, whose peak of
anonymous memory (what cannot be written back to a file) is sampled.

To prove the limit, run it where the kernel enforces one, page cache included:
    mkdir /sys/fs/cgroup/memory/scale && echo 8000000000 > /sys/fs/cgroup/memory/scale/memory.limit_in_bytes
    (echo $BASHPID > /sys/fs/cgroup/memory/scale/cgroup.procs; python -m benchmarks.scale.measure --rows 5000000)
"""  # noqa: E501

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.coreset.features import magnetic_tile_features
from benchmarks.harness.clock import seconds
from benchmarks.harness.process import memory_bytes
from benchmarks.harness.record import add_draft_option, check_tree, write_record
from edge_ad import PatchCoreConfig
from edge_ad.features.store import allocate
from edge_ad.methods.patchcore.bank import build_bank

WIDTH = 1_536
_CHUNK = 16_384
_LIMIT = Path("/sys/fs/cgroup/memory")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[250_880, 1_000_000, 5_000_000])
    parser.add_argument("--fraction", type=float, default=0.01)
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    add_draft_option(parser)
    options = parser.parse_args()
    if options.child:
        result = measure(np.load(options.child), options.rows[0], options.fraction)
        print(json.dumps(result))
        return
    commit = check_tree(draft=options.draft)
    with tempfile.TemporaryDirectory() as folder:
        features = Path(folder) / "features.npy"
        np.save(features, magnetic_tile_features())
        runs = []
        for rows in options.rows:
            command = [sys.executable, "-m", "benchmarks.scale.measure", "--child", str(features)]
            command += ["--rows", str(rows), "--fraction", str(options.fraction)]
            child = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            runs.append(json.loads(child.stdout.splitlines()[-1]))
            print(runs[-1], flush=True)
    content = {"width": WIDTH, "memory_limit_bytes": _memory_limit(), "runs": runs}
    write_record("scale", commit, content)


def measure(real: NDArray[np.float32], rows: int, fraction: float) -> dict[str, Any]:
    fill_s, patches = seconds(lambda: _fill(allocate((rows, WIDTH)), real))
    features = patches[:, np.newaxis, np.newaxis]  # as of images of one patch
    config = PatchCoreConfig(coreset_fraction=fraction)
    with Peak() as peak:
        bank_s, (bank, _) = seconds(lambda: build_bank(features, config, progress=True))
    return {
        "rows": rows,
        "features_gb": patches.nbytes / 1e9,
        "in_a_scratch_file": isinstance(patches, np.memmap),
        "bank_rows": len(bank.features),
        "write_s": round(fill_s, 1),
        "bank_s": round(bank_s, 1),
        "peak_anonymous_gb": peak.anonymous_gb,
        "peak_resident_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6,
        "model_gb": model_gb(rows, len(bank.features)),
    }


def model_gb(rows: int, chosen: int) -> float:
    """What building the bank takes beside the features: see `greedy_coreset` and `build_bank`."""
    selection = 4 * 129 * (rows + chosen) + 16 * rows
    neighbours = 2 * 4 * WIDTH * chosen
    return (max(selection, neighbours) + 600e6) / 1e9  # torch, blocks, and what the allocator keeps


def _fill(patches: NDArray[np.float32], real: NDArray[np.float32]) -> NDArray[np.float32]:
    rng = np.random.default_rng(0)
    noise = 0.1 * real.std(axis=0)
    for start in range(0, len(patches), _CHUNK):
        count = min(_CHUNK, len(patches) - start)
        chunk = real[np.arange(start, start + count) % len(real)]
        chunk = chunk + noise * rng.standard_normal(chunk.shape, dtype=np.float32)
        patches[start : start + count] = np.tile(chunk, WIDTH // chunk.shape[1])
    return patches


class Peak:
    """Samples this process's anonymous memory every 20 ms."""

    def __enter__(self) -> Peak:
        self.anonymous_gb = 0.0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._done.wait(0.02):
            self.anonymous_gb = max(self.anonymous_gb, memory_bytes("RssAnon") / 1e9)


def _memory_limit() -> int | None:
    """The control group's limit, if there is one (version 1)."""
    own = Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    group = next((line.split(":", 2)[2] for line in own if ":memory:" in line), "/")
    file = _LIMIT / group.strip("/") / "memory.limit_in_bytes"
    limit = int(file.read_text(encoding="utf-8")) if file.exists() else 2**63
    return limit if limit < 2**50 else None


if __name__ == "__main__":
    main()
