"""One clock for all stages."""

from __future__ import annotations

import time


class Stopwatch:
    """Measures the milliseconds of each named stage, from when the stopwatch was made.

    Attributes:
        laps_ms: the milliseconds of each stage, in the order of the laps.
    """

    def __init__(self) -> None:
        self._last = time.perf_counter()
        self.laps_ms: dict[str, float] = {}

    def lap(self, stage: str) -> None:
        """End the stage that has run since the lap before."""
        now = time.perf_counter()
        self.laps_ms[stage] = (now - self._last) * 1e3
        self._last = now
