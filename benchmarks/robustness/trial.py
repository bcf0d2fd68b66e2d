"""Trials in a process of their own, which may crash, hang, or eat memory without harm to others.

The worker (this module, run) imports a part's module and calls its ``open_trials``, which gives a
function from a trial's number to the attempt. It answers a line of JSON for each number that it
reads. The parent (`Worker`) gives each trial some seconds, kills what hangs, and starts anew.
"""

from __future__ import annotations

import faulthandler
import importlib
import json
import os
import resource
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.harness.process import ROOT, memory_bytes, take_stdout

_START_S = 300.0
_LAST_WORDS = 1500  # characters of what a process said before it died
_ADDRESSES_BYTES = 6 << 30  # more than the bound on what a trial may use: a second fence


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of one trial.

    Attributes:
        kind: what it counts as; `FAULTS` and a part's own.
        what: what was attacked, and how: a family, a format and a damage.
        detail: what was done and what was said, for people.
        grown_bytes: of the resident set, at most, during the trial.
        allowed_bytes: that it may grow by; 0: what the worker allows.
    """

    kind: str
    what: str
    detail: str
    grown_bytes: int = 0
    allowed_bytes: int = 0


Trial = Callable[[int], Callable[[], Outcome]]
"""From its number to what is to be tried; making that takes time and memory of its own."""

CRASH, HANG, MEMORY, EXCEPTION = "crash", "hang", "memory", "other exception"
FAULTS = (CRASH, HANG, MEMORY, EXCEPTION)


class Worker:
    """The parent's end: a process that runs trials, started again whenever it dies.

    Args:
        part: module of this folder with ``open_trials``.
        arguments: for it.
        limit_s: for one trial. One that takes longer is run once more, alone in a new process,
            before it counts as a hang: another process may have had the processor.
        most_bytes: that the resident set may grow by during a trial.
        environment: variables for it.
    """

    def __init__(
        self,
        part: str,
        *arguments: str,
        limit_s: float,
        most_bytes: int,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._command = [sys.executable, "-m", __spec__.name, part, *arguments]
        self._environment = environment or {}
        self._limit_s = limit_s
        self._most_bytes = most_bytes
        self._process: subprocess.Popen[bytes] | None = None
        self._read = b""  # of its stdout, and not taken yet
        self._scratch = tempfile.TemporaryDirectory()  # whatever a process that died has left
        self._said = (Path(self._scratch.name) / "said").open("w+", errors="replace")

    def run(self, number: int) -> Outcome:
        """Run one trial, whatever happens in it."""
        outcome = self._attempt(number)
        if outcome.kind == HANG:
            outcome = self._attempt(number)
        allowed = outcome.allowed_bytes or self._most_bytes
        if outcome.grown_bytes > allowed and outcome.kind not in FAULTS:
            grown = f"{outcome.grown_bytes / 1e6:.0f} MB more: {outcome.kind}, {outcome.detail}"
            return Outcome(**{**asdict(outcome), "kind": MEMORY, "detail": grown})
        return outcome

    def close(self) -> None:
        """End the process."""
        self._end(signal.SIGKILL)
        self._said.close()
        self._scratch.cleanup()

    def _attempt(self, number: int) -> Outcome:
        process = self._process or self._start()
        assert process.stdin is not None
        process.stdin.write(b"%d\n" % number)
        if not self._line(process, _START_S):
            raise SystemExit(f"trial {number} cannot be made: {self._last_words()}")
        line = self._line(process, self._limit_s)
        if line is None:
            self._end(signal.SIGABRT)  # faulthandler says where it was
            return Outcome(kind=HANG, what="", detail=self._last_words())
        if not line:
            code = process.wait()
            self._end(signal.SIGKILL)
            return Outcome(kind=CRASH, what="", detail=f"exit {code}: {self._last_words()}")
        return Outcome(**json.loads(line))

    def _line(self, process: subprocess.Popen[bytes], limit_s: float) -> bytes | None:
        """The next line; empty if the process has ended, None if it says nothing for so long."""
        assert process.stdout is not None
        until = time.monotonic() + limit_s
        while b"\n" not in self._read:
            left = max(0.0, until - time.monotonic())
            if not select.select([process.stdout], [], [], left)[0]:
                return None
            more = os.read(process.stdout.fileno(), 1 << 16)
            if not more:
                return b""
            self._read += more
        line, _, self._read = self._read.partition(b"\n")
        return line

    def _start(self) -> subprocess.Popen[bytes]:
        self._said.seek(0)
        self._said.truncate()
        self._read = b""
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            bufsize=0,
            cwd=ROOT,
            env={**os.environ, "TMPDIR": self._scratch.name, **self._environment},
        )
        if not self._line(self._process, _START_S):
            self._end(signal.SIGKILL)
            raise SystemExit(f"{self._command} does not start: {self._last_words()}")
        return self._process

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(how)
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        assert process.stdin is not None and process.stdout is not None
        process.stdout.close()
        process.stdin.close()

    def _last_words(self) -> str:
        self._said.seek(0)
        return self._said.read()[-_LAST_WORDS:]


def serve(part: str, arguments: list[str]) -> None:
    """The worker's end, until stdin ends."""
    faulthandler.enable()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    answers = take_stdout()
    run: Trial = importlib.import_module(f"{__package__}.{part}").open_trials(*arguments)
    used = memory_bytes("VmSize")
    resource.setrlimit(resource.RLIMIT_AS, (used + _ADDRESSES_BYTES,) * 2)
    print("ready", file=answers)
    for line in sys.stdin:
        attempt = run(int(line))
        before = _reset_peak()
        print("made", file=answers)
        outcome = asdict(attempt())
        outcome["grown_bytes"] = max(0, memory_bytes("VmHWM") - before)
        print(json.dumps(outcome), file=answers)


def _reset_peak() -> int:
    """Make the largest resident set the present one (proc(5), clear_refs); gives that."""
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:  # not on this kernel: growth is then of the largest one
        return memory_bytes("VmHWM")
    return memory_bytes("VmRSS")


if __name__ == "__main__":
    serve(sys.argv[1], sys.argv[2:])
