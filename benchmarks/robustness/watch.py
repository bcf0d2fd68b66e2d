"""A watch under attack: its folder, its lines, and what was found wrong with them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.harness.process import ROOT
from benchmarks.robustness.frames import Frame

_EVERY_MS = 20


@dataclass
class Soak:
    """The state of a soak, and what was found wrong.

    Attributes:
        folder: everything of it.
        artifact: the detector's.
        limit_s: for a line to come; generous, as only hangs are meant.
        faults: each with what is needed to see it again.
        samples: of the first run: frames so far, resident bytes, descriptors, threads.
    """

    folder: Path
    artifact: Path
    limit_s: float
    faults: list[str] = field(default_factory=list)
    samples: list[tuple[int, int, int, int]] = field(default_factory=list)

    @property
    def watched(self) -> Path:
        """Where frames come in."""
        return self.folder / "camera"

    @property
    def lines(self) -> Path:
        """The command's file of lines."""
        return self.folder / "lines.jsonl"

    def found(self) -> dict[str, list[str]]:
        """Verdicts by file name, of all whole lines; what is no line is a fault."""
        verdicts: dict[str, list[str]] = {}
        if not self.lines.exists():
            return verdicts
        content = self.lines.read_bytes()
        for line in content[: content.rfind(b"\n") + 1].splitlines():
            try:
                parsed: dict[str, Any] = json.loads(line)
                name = Path(parsed["path"]).name
                verdicts.setdefault(name, []).append(parsed["verdict"])
            except (ValueError, KeyError):
                self.faults.append(f"a torn line: {line!r:.200}")
        return verdicts

    def wait_for(self, what: Callable[[], bool], name: str) -> bool:
        """Until it is so; a fault if it never is."""
        until = time.monotonic() + self.limit_s
        while not what():
            if time.monotonic() > until:
                self.faults.append(f"not within {self.limit_s} s: {name}")
                return False
            time.sleep(0.02)
        return True

    def wait_for_lines(self, name: str, count: int) -> bool:
        """Until a file has so many."""
        return self.wait_for(
            lambda: len(self.found().get(name, [])) >= count, f"line {count} of {name!r}"
        )


@contextmanager
def watching(state: Soak, name: str, *more: str) -> Iterator[subprocess.Popen[bytes]]:
    """The command as a process, ready; what it says on stderr goes to a file."""
    folder, lines = str(state.watched), str(state.lines)
    command = [sys.executable, "-m", "edge_ad_runtime", "watch", str(state.artifact), folder]
    options = ["--json-lines", lines, "--every-ms", str(_EVERY_MS), "--threads", "1", *more]
    said = state.folder / f"said {name}"
    with said.open("wb") as file, open(os.devnull, "wb") as nothing:  # noqa: PTH123
        process = subprocess.Popen([*command, *options], stdout=nothing, stderr=file, cwd=ROOT)
    try:
        state.wait_for(lambda: b"watching" in said.read_bytes(), "the start of the watch")
        yield process
    finally:
        process.kill()
        process.wait()
    if b"Traceback" in said.read_bytes():
        state.faults.append(f"traceback: {said.read_text(errors='replace')[-1500:]}")


def all_judged(state: Soak, frames: list[Frame]) -> None:
    def complete() -> bool:
        found = state.found()
        return all(frame.fits(found.get(frame.name, [])) for frame in frames)

    state.wait_for(complete, "a line for each frame")


def judge(state: Soak, frames: list[Frame]) -> None:
    found = state.found()
    for frame in frames:
        lines = found.pop(frame.name, [])
        if not frame.fits(lines):
            state.faults.append(f"{frame} has the lines {lines}")
    state.faults += [f"lines of nobody's frame: {name!r} {lines}" for name, lines in found.items()]
