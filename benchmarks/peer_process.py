"""Both ends of the line to a process that scores images in one way: an engine, a model, a library.

The process is started, loads its model, and then answers a list of image numbers with scores and
the time they took. Runs in every environment that is measured, so it needs numpy alone.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).parents[1]

Predict = Callable[[NDArray[np.uint8]], Sequence[float]]
"""Preprocessed images ``(n, H, W, 3)`` RGB to their scores; the maps are made and dropped."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """Scores of the images asked for, what they took, and the process's largest resident set."""

    scores: list[float]
    ms: float
    peak_memory_bytes: int


def serve(load: Callable[[], Predict], images: Path) -> None:
    """Load, then answer requests on stdin until it ends.

    Args:
        load: gives the function to time; whatever it prints goes to stderr.
        images: .npy file, ``(N, H, W, 3)`` uint8 RGB.
    """
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    predict = load()
    pixels = np.load(images, allow_pickle=False)
    for line in sys.stdin:
        batch = pixels[json.loads(line)]
        start = time.perf_counter()
        scores = [float(score) for score in predict(batch)]
        answer = Answer(
            scores=scores,
            ms=(time.perf_counter() - start) * 1e3,
            peak_memory_bytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        )
        print(json.dumps(asdict(answer)), file=answers)


def run_module(python: Path, module: str, *arguments: str) -> subprocess.Popen[str]:
    """Start ``python -m benchmarks.MODULE`` in another environment, a pipe at either end."""
    return subprocess.Popen(
        [str(python), "-W", "ignore", "-m", f"benchmarks.{module}", *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT), "TRUST_REMOTE_CODE": "1"},  # anomalib's pickles
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


class Peer:
    """The benchmark's end of `serve`.

    Attributes:
        cold_start_ms: from starting the interpreter to the first score.
    """

    def __init__(self, python: Path, module: str, *arguments: str) -> None:
        start = time.perf_counter()
        self._process = run_module(python, module, *arguments)
        self.score([0])
        self.cold_start_ms = (time.perf_counter() - start) * 1e3

    def score(self, images: list[int]) -> Answer:
        """Have images scored, in one call."""
        assert self._process.stdin is not None and self._process.stdout is not None
        print(images, file=self._process.stdin, flush=True)
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"{' '.join(map(str, self._process.args))} ended")  # type: ignore[arg-type]
        return Answer(**json.loads(line))

    def __enter__(self) -> Peer:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._process.communicate()
