"""A cluster beside one machine, coreset and features: python -m benchmarks.cluster.measure.

Patch features of magnetic tiles (as in `benchmarks.coreset`), repeated with noise to as many rows
as asked. In one run: one machine, then two workers on Ray, then the same with one of them killed
(SIGKILL) at a random round. Then features of images, by one worker and by two, in turn, each with
one thread.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.coreset.features import magnetic_tile_features
from benchmarks.harness.clock import seconds
from benchmarks.harness.record import (
    add_draft_option,
    add_only_option,
    check_tree,
    data_root,
    imagenet_resnet18,
    measure_missing,
)
from benchmarks.scale.measure import Peak
from edge_ad import PatchCoreConfig
from edge_ad.compute import Cluster, connect, in_order
from edge_ad.compute.inline import InlineCluster
from edge_ad.features.coreset import greedy_selection
from edge_ad.features.file_rows import FileRows
from edge_ad.features.patches import build_network
from edge_ad.features.sharded import Gathering, Traffic
from edge_ad.features.tasks import FeatureTask, TaskFolder
from edge_ad.networks.run import TorchRun

_FILES = 8
_TASK_IMAGES = 8
_NOISE = 0.1  # of the standard deviation of each channel
_CHUNK = 16_384
_PER_IMAGE = 32  # rows: an image is a number in the driver's memory


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[250_880, 5_000_192])
    parser.add_argument("--fractions", type=float, nargs="+", default=[0.01, 0.1])
    parser.add_argument("--folder", type=Path, help="keep features here between runs")
    parser.add_argument("--images", type=int, default=128)
    parser.add_argument("--repeats", type=int, default=3)
    add_only_option(parser)
    add_draft_option(parser)
    options = parser.parse_args()
    commit = check_tree(draft=options.draft)
    with tempfile.TemporaryDirectory() as folder, connect("local") as cluster:
        work = options.folder or Path(folder)
        tasks: list[tuple[str, Callable[[], Any]]] = [
            (
                f"coreset {rows} {fraction:g}",
                partial(measure_coreset, cluster, work, rows, fraction),
            )
            for rows in options.rows
            for fraction in options.fractions
        ]
        images = partial(measure_features, cluster, work, options.images, options.repeats)
        tasks.append((f"features {options.images}", images))
        measure_missing("cluster", commit, tasks, options.only)


def measure_coreset(cluster: Cluster, folder: Path, rows: int, fraction: float) -> dict[str, Any]:
    source = written(folder, rows)
    n_select = round(len(source) * fraction)
    shards = source.cut(2)
    with Peak() as driver:
        two = Run(cluster, shards, n_select)
    one_s, one = seconds(lambda: greedy_selection(source[:], n_select))
    inline = Run(InlineCluster(2), shards, n_select)
    kill_at = random.randrange(1, max(2, two.traffic.rounds))
    killed = Run(cluster, shards, n_select, kill_at=kill_at)
    return {
        "rows": len(source),
        "width": source.width,
        "n_select": n_select,
        "one_machine_s": one_s,
        "two_workers_s": two.seconds,
        "inline_two_shards_s": inline.seconds,
        "rounds": two.traffic.rounds,
        "received_bytes": two.traffic.received_bytes,
        "sent_bytes": two.traffic.sent_bytes,
        "radius_differs_by": abs(two.radius / one.covering_radius - 1),
        "load_average": os.getloadavg()[0],
        "same_picks_in_order": float((two.rows == one.rows).mean()),
        "ray_is_inline": bool((two.rows == inline.rows).all()),
        "killed_at_round": kill_at,
        "killed_s": killed.seconds,
        "killed_rebuilt": killed.traffic.rebuilt,
        "killed_is_the_same": bool((killed.rows == two.rows).all()),
        "killed_radius_differs_by": abs(killed.radius / two.radius - 1),
        "driver_peak_anonymous_gb": driver.anonymous_gb,
    }


class Run:
    """One choice, with the time that it took from the start of its workers."""

    def __init__(
        self, cluster: Cluster, shards: list[FileRows], n_select: int, kill_at: int = -1
    ) -> None:
        self.seconds, self.rows = seconds(lambda: self._run(cluster, shards, n_select, kill_at))

    def _run(
        self, cluster: Cluster, shards: list[FileRows], n_select: int, kill_at: int
    ) -> NDArray[np.int64]:
        with Gathering(cluster, list(shards), n_select, 0, 128) as gathering:
            for _ in gathering.rounds():
                if gathering.traffic.rounds == kill_at:
                    os.kill(max(holders()), signal.SIGKILL)
                    kill_at = -1
            self.radius = gathering.farthest()
            self.traffic: Traffic = gathering.traffic
            return np.array(gathering.chosen)


def holders() -> list[int]:
    """The processes that this one's cluster has started to hold a shard."""
    found = []
    for name in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if name.read_bytes().startswith(b"ray::_Held") and _is_of_this(name.parent):
                found.append(int(name.parent.name))
        except OSError:
            continue
    return found


def _is_of_this(process: Path) -> bool:
    """Whether a folder of /proc is of this process or of one that it has started."""
    while process.name not in ("0", "1"):
        if process.name == str(os.getpid()):
            return True
        *_, after = (process / "stat").read_text().rpartition(") ")
        process = process.with_name(after.split()[1])
    return False


def written(folder: Path, rows: int) -> FileRows:
    """Files of about so many real rows: repeated with noise past the first time."""
    real = folder / "real.npy"
    if not real.exists():
        np.save(real, magnetic_tile_features())
    features = np.load(real, mmap_mode="r")
    each = rows // _FILES // _PER_IMAGE * _PER_IMAGE
    paths = [folder / f"{rows}.{i}.npy" for i in range(_FILES)]
    noise = _NOISE * features[:_CHUNK].std(axis=0)
    for number, path in enumerate(paths):
        if path.exists():
            continue
        shape = (each, features.shape[1])
        array = np.lib.format.open_memmap(path, "w+", np.float32, shape)
        rng = np.random.default_rng(number)
        for start in range(0, each, _CHUNK):
            at = number * each + np.arange(start, min(start + _CHUNK, each))
            chunk = features[at % len(features)]
            again = (at >= len(features))[:, np.newaxis]
            drawn = rng.standard_normal(chunk.shape, dtype=np.float32)
            array[start : start + len(at)] = chunk + again * noise * drawn
    images = tuple(tuple(range(each // _PER_IMAGE)) for _ in paths)
    return FileRows(tuple(paths), images, _PER_IMAGE, features.shape[1])


def measure_features(cluster: Cluster, folder: Path, images: int, repeats: int) -> dict[str, Any]:
    config = PatchCoreConfig(weights=imagenet_resnet18(), resize_px=256)
    paths = sorted((data_root() / "data/magnetic-tile/MT_Free/Imgs").glob("*.jpg"))[:images]
    names = [str(path) for path in paths]
    parts = [names[i : i + _TASK_IMAGES] for i in range(0, len(names), _TASK_IMAGES)]
    run = TorchRun(build_network(config))
    torch.set_num_threads(1)
    one_s: list[float] = []
    two_s: list[float] = []
    for repeat in range(-1, repeats):  # the first starts the workers, and is not counted
        for where, times in ((InlineCluster(), one_s), (cluster, two_s)):
            out = folder / f"features-{repeat}-{where.slots}"
            shutil.rmtree(out, ignore_errors=True)
            out.mkdir()
            task = FeatureTask(
                run=run,
                preprocessing=config.preprocessing,
                folder=TaskFolder(out),
                network_key="benchmark",
            )
            taken, _ = seconds(partial(_done, where, task, parts))
            if repeat >= 0:
                times.append(taken)
    ratios = [one / two for one, two in zip(one_s, two_s, strict=True)]
    return {
        "images": len(names),
        "load_average": os.getloadavg()[0],
        "one_worker_s": one_s,
        "two_workers_s": two_s,
        "median_ratio": float(np.median(ratios)),
    }


def _done(cluster: Cluster, task: FeatureTask, parts: list[list[str]]) -> int:
    return len(in_order(cluster.map(task, list(enumerate(parts)))))


if __name__ == "__main__":
    main()
