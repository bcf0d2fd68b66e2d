"""Both ends of the line to a process that scores images in one way: an engine, a model, a library.

The process is started, loads its model, and then answers a list of image numbers with scores and
the time they took. Runs in every environment that is measured, so it needs numpy alone.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, TextIO

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
        load: gives the function to time.
        images: .npy file, ``(N, H, W, 3)`` uint8 RGB.
    """
    answers = take_stdout()
    predict = load()
    pixels = np.load(images, allow_pickle=False)
    for line in sys.stdin:
        batch = pixels[json.loads(line)]
        start = time.perf_counter()
        scores = [float(score) for score in predict(batch)]
        answer = Answer(
            scores=scores,
            ms=(time.perf_counter() - start) * 1e3,
            peak_memory_bytes=_peak_memory_bytes(),
        )
        print(json.dumps(asdict(answer)), file=answers)


def _peak_memory_bytes() -> int:
    """Largest resident set since the interpreter started; getrusage's may be the parent's."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split("VmHWM:")[1].split()[0]) * 1024


def take_stdout() -> TextIO:
    """Stdout for answers alone: what libraries print goes to stderr from here on."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return answers


def run_module(python: Path, folder: Path, *command: str) -> subprocess.Popen[str]:
    """Start ``python -m benchmarks.COMMAND`` in another environment, a pipe at either end.

    Args:
        python: the environment's interpreter.
        folder: to run in; libraries leave their caches there.
        command: module and arguments.
    """
    module, *arguments = command
    return subprocess.Popen(
        [str(python), "-W", "ignore", "-m", f"benchmarks.{module}", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TRUST_REMOTE_CODE": "1"},  # anomalib's pickles
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def preparation(
    *,
    patches: int,
    features_s: float,
    picks: int,
    seconds: Sequence[float],
    packages: Sequence[str],
) -> dict[str, Any]:
    """What a peer's preparation took.

    Args:
        patches: of the good images, and
        features_s: how long they took.
        picks: patches chosen from them.
        seconds: for one pick, which is nearly all projection, and for ``picks``.
        packages: whose versions to record.
    """
    return {
        "patches": patches,
        "features_s": features_s,
        "projection_s": seconds[0],
        "picks": picks,
        "picks_s": seconds[1] - seconds[0],
        "versions": {package: version(package) for package in packages},
    }


class Peer:
    """The benchmark's end of `serve`, once it has scored for the first time.

    Args:
        process: that serves.
        first: images to begin with.
    """

    def __init__(self, process: subprocess.Popen[str], first: list[int]) -> None:
        self._process = process
        self.score(first)

    def score(self, images: list[int]) -> Answer:
        """Have images scored, in one call."""
        assert self._process.stdin is not None and self._process.stdout is not None
        print(images, file=self._process.stdin, flush=True)
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"{self._process.args!r} ended; what it said is above")
        return Answer(**json.loads(line))

    def close(self) -> None:
        """End of stdin, end of the process."""
        self._process.communicate()
