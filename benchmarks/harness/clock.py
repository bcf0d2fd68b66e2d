"""The one clock of the benchmarks: wall time of calls, one by one or several in turn.

The peers' environments import this module too, so it needs the standard library alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

_Input = TypeVar("_Input")
_Result = TypeVar("_Result")


def seconds(work: Callable[[], _Result]) -> tuple[float, _Result]:
    """How long a call takes, and what it gives."""
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


def stopwatch() -> Callable[[], float]:
    """Seconds since now, whenever what this gives is called."""
    start = time.perf_counter()
    return lambda: time.perf_counter() - start


def repeated_ms(work: Callable[[], object], repeats: int, *, first: int = 0) -> list[float]:
    """Milliseconds of each of ``repeats`` calls, after ``first`` calls that are not counted."""
    for _ in range(first):
        work()
    return [seconds(work)[0] * 1e3 for _ in range(repeats)]


def in_turn_ms(
    ways: Mapping[str, Callable[[_Input], object]],
    inputs: Iterable[_Input],
    *,
    pause_s: float = 0,
) -> dict[str, list[float]]:
    """Milliseconds of each way on each input.

    All ways get an input before the next one comes, so that they see the same state of the machine:
    a ratio of two of them is fair where their times alone are not.

    Args:
        ways: by their names.
        inputs: what each of them is called with.
        pause_s: seconds before each call. The threads of the way before may spin a while.
    """
    times_ms: dict[str, list[float]] = {name: [] for name in ways}
    for one in inputs:
        for name, way in ways.items():
            time.sleep(pause_s)
            start = time.perf_counter()
            way(one)
            times_ms[name].append((time.perf_counter() - start) * 1e3)
    return times_ms
