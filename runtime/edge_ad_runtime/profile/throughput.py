"""How many images are scored in a second when several go through the network together."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path

from edge_ad_runtime.detector import Detector
from edge_ad_runtime.errors import EngineError

BATCHES = (1, 2, 4, 8, 16)


@dataclass(frozen=True, kw_only=True)
class Throughput:
    """What one size of batch gives.

    Attributes:
        batch: the number of images per run of the network.
        images_per_second: the rate from file to map, or None if the engine refuses the batch.
        error: why the engine refuses the batch.
    """

    batch: int
    images_per_second: float | None
    error: str | None = None


def measure_throughput(
    detector: Detector,
    images: Sequence[Path],
    *,
    count: int,
    tick: Callable[[], None] = lambda: None,
) -> tuple[Throughput, ...]:
    """Score ``count`` images, rounded up to whole batches, in each size of `BATCHES`.

    Args:
        detector: the loaded artifact.
        images: the files to cycle through.
        count: the number of images per size. One batch before them is not counted.
        tick: what to call after each size.
    """
    found = []
    for batch in BATCHES:
        found.append(_measure(detector, images, batch=batch, rounds=-(-count // batch)))
        tick()
    return tuple(found)


def _measure(detector: Detector, images: Sequence[Path], *, batch: int, rounds: int) -> Throughput:
    waiting = cycle(images)
    try:
        detector.predict_batch(list(islice(waiting, batch)))
        start = time.perf_counter()
        for _ in range(rounds):
            detector.predict_batch(list(islice(waiting, batch)))
    except EngineError as exc:
        return Throughput(batch=batch, images_per_second=None, error=str(exc))
    seconds = time.perf_counter() - start
    return Throughput(batch=batch, images_per_second=rounds * batch / seconds)
