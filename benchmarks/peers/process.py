"""Both ends of the line to a process that scores images in one way: an engine, a model, a library.

The process is started, loads its model, and then answers a list of image numbers with scores and
the time they took. Runs in every environment that is measured, so it needs numpy alone.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.harness.clock import seconds
from benchmarks.harness.process import ROOT, memory_bytes, take_stdout

Predict = Callable[[NDArray[np.uint8]], Sequence[float]]
"""Preprocessed images ``(n, H, W, 3)`` RGB to their scores; the maps are made and dropped."""


class PeerError(Exception):
    """A way to score images that cannot be had on this machine: why not."""


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
        elapsed_s, scores = seconds(partial(_scores, predict, batch))
        answer = Answer(scores=scores, ms=elapsed_s * 1e3, peak_memory_bytes=memory_bytes("VmHWM"))
        print(json.dumps(asdict(answer)), file=answers)


def _scores(predict: Predict, images: NDArray[np.uint8]) -> list[float]:
    return [float(score) for score in predict(images)]


class Module:
    """``python -m benchmarks.peers.children.COMMAND`` in another environment, a pipe at either end.

    Args:
        python: the environment's interpreter.
        folder: to run in; libraries leave their caches there.
        command: module and arguments.
    """

    def __init__(self, python: Path, folder: Path, *command: str) -> None:
        module, *arguments = command
        self._said = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")
        self.process = subprocess.Popen(
            [str(python), "-W", "ignore", "-m", f"benchmarks.peers.children.{module}", *arguments],
            cwd=folder,
            # anomalib's pickles
            env={**os.environ, "PYTHONPATH": str(ROOT), "TRUST_REMOTE_CODE": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            text=True,
        )

    def result(self) -> str:
        """What it prints until it ends.

        Raises:
            PeerError: it ends with an error.
        """
        out, _ = self.process.communicate()
        if self.process.returncode != 0:
            raise self.error()
        self.close()
        return out

    def error(self) -> PeerError:
        """Why it has ended: the last that it said; all of it goes to stderr."""
        self.process.wait()
        self._said.seek(0)
        said = self._said.read()
        self.close()
        print(self.process.args, said, sep="\n", file=sys.stderr, flush=True)
        return PeerError(last_line(said) or f"ended with {self.process.returncode}")

    def close(self) -> None:
        """End of stdin, end of the process."""
        self.process.communicate()
        self._said.close()


def last_line(text: str) -> str:
    """Of a traceback or of what pip says: the one that says what is wrong."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""


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
        packages: whose versions to record, where they are installed.
    """
    return {
        "patches": patches,
        "features_s": features_s,
        "projection_s": seconds[0],
        "picks": picks,
        "picks_s": seconds[1] - seconds[0],
        "versions": {d.name: d.version for d in distributions() if d.name in packages},
    }


class Peer:
    """The benchmark's end of `serve`, once it has scored for the first time.

    Args:
        module: that serves.
        first: images to begin with.

    Raises:
        PeerError: it has ended.
    """

    def __init__(self, module: Module, first: list[int]) -> None:
        self._module = module
        self.score(first)

    def score(self, images: list[int]) -> Answer:
        """Have images scored, in one call.

        Raises:
            PeerError: it has ended.
        """
        process = self._module.process
        assert process.stdin is not None and process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            print(images, file=process.stdin, flush=True)
        line = process.stdout.readline()
        if not line:
            raise self._module.error()
        return Answer(**json.loads(line))

    def close(self) -> None:
        """End of stdin, end of the process."""
        self._module.close()
