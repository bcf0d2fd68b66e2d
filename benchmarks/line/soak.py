"""Many images, one after the other: memory must not grow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness.process import memory_bytes
from benchmarks.line.lines import PART, config, images, raw_config
from edge_ad_line.line import Line


def soak(folder: Path, *, count: int, every: int) -> dict[str, Any]:
    """Judge images as fast as it goes.

    Returns:
        ``memory_bytes`` after each ``every`` images, the ``slope_bytes`` in 10,000 images over the
        second half, and ``faults`` in words.
    """
    line = Line.open(config(raw_config(folder)))
    line.start()
    content, sizes = images(), list[int]()
    for i in range(1, count + 1):
        result = line.score(PART, next(content))
        assert result.stored
        if i % every == 0:
            sizes.append(memory_bytes("VmRSS"))
    line.drain()
    newest = line.store.results(limit=1)[0]["seq"]
    line.close()
    half = sizes[len(sizes) // 2 :]
    slope = float(np.polyfit(np.arange(len(half)) * every, half, 1)[0]) * 10_000
    return {
        "images": count,
        "every": every,
        "memory_bytes": sizes,
        "slope_bytes": slope,
        "faults": [] if newest == count else ["a number is missing"],
    }
