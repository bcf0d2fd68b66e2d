"""How many threads are fastest, left to the scheduler or pinned to as many cores.

Each setting runs in a process of its own, because threads must be bound to cores before a process
starts them. The binding of this process stays as it is.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from edge_ad_runtime.detector import Detector
from edge_ad_runtime.profile.child import run_child
from edge_ad_runtime.profile.latency import percentiles

# The cores are set first, because the threads that libraries start on import inherit them.
_TOTALS = """
import json, os, sys
job = json.load(sys.stdin)
os.sched_setaffinity(0, job["cores"])
from itertools import cycle, islice
from edge_ad_runtime import Detector
detector = Detector.load(job["artifact"], engine=job["engine"], threads=job["threads"])
images = islice(cycle(job["images"]), job["warmup"] + job["count"])
totals_ms = [detector.predict(image).timings_ms["total"] for image in images]
print(json.dumps(totals_ms[job["warmup"]:]))
"""


@dataclass(frozen=True, kw_only=True)
class SweepPoint:
    """One setting, and the total time of an image in it.

    Attributes:
        threads: the number of CPU threads of the network and the index.
        cores: the cores that the process was bound to. None means all, as the scheduler likes.
    """

    threads: int
    cores: tuple[int, ...] | None
    p50_ms: float
    p99_ms: float


def usable_cores() -> list[int]:
    """The cores that this process may run on."""
    return sorted(os.sched_getaffinity(0))


def sweep_threads(
    detector: Detector,
    images: Sequence[Path],
    *,
    count: int,
    warmup: int,
    tick: Callable[[], None] = lambda: None,
) -> tuple[SweepPoint, ...]:
    """Time ``count`` predictions on 1 to all cores, unpinned and pinned to the first ones.

    Args:
        detector: the artifact and the engine to time are taken from it.
        images: the files to cycle through.
        count: the number of timed predictions per setting.
        warmup: the number of predictions before them, which are not counted.
        tick: what to call after each setting.

    Raises:
        EngineError: a process failed.
    """
    usable, points = usable_cores(), []
    for threads in range(1, len(usable) + 1):
        for cores in (None, tuple(usable[:threads])):
            job = {
                "artifact": str(detector.artifact.folder),
                "engine": detector.engine.name,
                "threads": threads,
                "cores": cores or usable,
                "images": [str(image) for image in images],
                "count": count,
                "warmup": warmup,
            }
            total = percentiles(json.loads(run_child(_TOTALS, job)))
            points.append(
                SweepPoint(threads=threads, cores=cores, p50_ms=total.p50_ms, p99_ms=total.p99_ms)
            )
            tick()
    return tuple(points)
