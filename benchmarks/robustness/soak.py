"""``edge-ad watch`` for thousands of frames: each has its line, none is torn, and nothing grows.

Three runs of the command, one after the other, on one folder and one file of lines. The first gets
most of the frames, is stopped and continued, loses its folder and gets it back, and is told to end
in mid-burst. The second takes over what was left, and is killed in mid-burst; the third takes over
from it. Then two at once write to one file of lines.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.harness.process import ROOT, memory_bytes
from benchmarks.robustness.frames import Camera, Frame, pictures
from edge_ad_runtime import Detector

_EVERY_MS = 20
_KEPT = 300  # files; older ones that have their line are removed, as a line's clean-up does
_SAMPLE_EVERY = 50  # frames
_GROWTH_BYTES = 8_000_000  # that the allocator may need for larger images than before
_BURST = 40


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


def soak(
    artifact: Path,
    folder: Path,
    *,
    frames: int,
    seed: int,
    limit_s: float,
    tick: Callable[[], object] = lambda: None,
) -> dict[str, Any]:
    """Run it.

    Args:
        artifact: to watch with.
        folder: an empty one.
        frames: in all.
        seed: of what comes and how.
        limit_s: for any one thing to happen, before it counts as a hang.
        tick: called after each frame.

    Returns:
        Counts, samples and faults.
    """
    rng = random.Random(seed)
    state = Soak(folder, artifact, limit_s)
    state.watched.mkdir()
    known = pictures(Detector.load(artifact, threads=1))
    camera = Camera(state.watched, known, state.wait_for_lines)
    numbers = iter(range(frames))
    first, second = int(frames * 0.8), int(frames * 0.1)

    with _watching(state, "first") as process:
        for i in range(first):
            camera.deliver(next(numbers), rng)
            tick()
            if i % _SAMPLE_EVERY == 0:
                state.samples.append((i, *_size(process.pid)))
                _clean(state, camera)
            if i % 500 == 250:
                _stopped_for_a_while(process)
            if i == first // 2:
                _folder_away(state, camera)
        _ended(state, camera, process, signal.SIGTERM, rng, numbers)
    for how in (signal.SIGKILL, signal.SIGTERM):
        _remove_judged(state, camera)
        with _watching(state, f"after {len(camera.frames)}", "--existing") as process:
            for number in _taken(numbers, second):
                camera.deliver(number, rng)
                tick()
            _ended(state, camera, process, how, rng, numbers, burst=how == signal.SIGKILL)
    _judge(state, camera.frames)
    _judge_growth(state)
    _two_at_once(state, known["good.png"].content, known["good.png"].verdict)
    return {
        "frames": len(camera.frames),
        "lines": sum(map(len, state.found().values())),
        "deliveries": dict(Counter(frame.how for frame in camera.frames)),
        "samples": state.samples,
        "faults": state.faults,
    }


@contextmanager
def _watching(state: Soak, name: str, *more: str) -> Iterator[subprocess.Popen[bytes]]:
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


def _size(pid: int) -> tuple[int, int, int]:
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    threads = int(status.split("Threads:")[1].split()[0])
    return memory_bytes("VmRSS", pid), len(list(Path(f"/proc/{pid}/fd").iterdir())), threads


def _clean(state: Soak, camera: Camera) -> None:
    """Remove old files that have their line."""
    found = state.found()
    for frame in camera.frames[:-_KEPT]:
        path = state.watched / frame.name
        if frame.name in found and path.is_file():
            path.unlink()


def _stopped_for_a_while(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGSTOP)
    time.sleep(0.2)
    process.send_signal(signal.SIGCONT)


def _folder_away(state: Soak, camera: Camera) -> None:
    """As a share that is mounted again: nothing in it is another image."""
    _all_judged(state, camera.frames)
    away = state.watched.rename(state.folder / "away")
    said = state.folder / "said first"
    state.wait_for(lambda: b"waiting for it" in said.read_bytes(), "word that the folder is gone")
    away.rename(state.watched)
    state.wait_for(lambda: b"is back" in said.read_bytes(), "word that the folder is back")


def _taken(numbers: Iterator[int], count: int) -> Iterator[int]:
    for _, number in zip(range(count), numbers, strict=False):
        yield number


def _ended(
    state: Soak,
    camera: Camera,
    process: subprocess.Popen[bytes],
    how: signal.Signals,
    rng: random.Random,
    numbers: Iterator[int],
    *,
    burst: bool = True,
) -> None:
    """A signal: in the middle of many frames at once, or when all have their lines."""
    if not burst:
        _all_judged(state, camera.frames)
    picture = camera.pictures["good.png"]
    for number in _taken(numbers, _BURST if burst else 0):
        name = f"{number:06}.png"
        camera.put(name, picture.content)
        camera.frames.append(Frame(name, "burst", (picture.verdict,)))
    time.sleep(rng.uniform(0, 0.3) if burst else 0)
    process.send_signal(how)
    try:
        code = process.wait(state.limit_s)
    except subprocess.TimeoutExpired:
        state.faults.append(f"does not end of {how.name}")
        return
    if code != (-how if how == signal.SIGKILL else 0):
        state.faults.append(f"exit {code} of {how.name}")


def _all_judged(state: Soak, frames: list[Frame]) -> None:
    def complete() -> bool:
        found = state.found()
        return all(frame.fits(found.get(frame.name, [])) for frame in frames)

    state.wait_for(complete, "a line for each frame")


def _remove_judged(state: Soak, camera: Camera) -> None:
    """What has its line goes; what is left is for the next run."""
    found = state.found()
    for frame in camera.frames:
        path = state.watched / frame.name
        if frame.name in found and (path.is_symlink() or path.exists()):
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def _judge(state: Soak, frames: list[Frame]) -> None:
    found = state.found()
    for frame in frames:
        lines = found.pop(frame.name, [])
        if not frame.fits(lines):
            state.faults.append(f"{frame} has the lines {lines}")
    state.faults += [f"lines of nobody's frame: {name!r} {lines}" for name, lines in found.items()]


def _judge_growth(state: Soak) -> None:
    """The last quarter of the samples against the second."""
    quarter = len(state.samples) // 4
    if quarter < 2:
        return
    early, late = state.samples[quarter : 2 * quarter], state.samples[-quarter:]
    growth = max(s[1] for s in late) - max(s[1] for s in early)
    if growth > _GROWTH_BYTES:
        state.faults.append(f"{growth / 1e6:.1f} MB more in memory in the last quarter")
    for at, what in ((2, "descriptors"), (3, "threads")):
        if max(s[at] for s in late) > max(s[at] for s in early):
            state.faults.append(f"more {what}: {[s[at] for s in state.samples]}")


def _two_at_once(state: Soak, content: bytes, verdict: str) -> None:
    """Two watches append to one file: all lines are whole, and each is there once."""
    both = Soak(state.folder / "two", state.artifact, state.limit_s, state.faults)
    names = [f"{i:03}.png" for i in range(30)]
    folders = [both.folder / side / "camera" for side in ("left", "right")]
    for path in folders:
        path.mkdir(parents=True)
    shared = Soak(both.folder, both.artifact, both.limit_s, state.faults)
    with _watching(_beside(folders[0], shared), "a"), _watching(_beside(folders[1], shared), "b"):
        for name in names:
            for side, path in zip(("l", "r"), folders, strict=True):
                (path / f"{side}.partial").write_bytes(content)
                (path / f"{side}.partial").replace(path / f"{side}{name}")
        frames = [Frame(side + name, "two", (verdict,)) for side in "lr" for name in names]
        _all_judged(shared, frames)
    _judge(shared, frames)


def _beside(watched: Path, shared: Soak) -> Soak:
    """A soak of another folder whose lines go to the shared file."""
    state = Soak(watched.parent, shared.artifact, shared.limit_s, shared.faults)
    link = state.folder / "lines.jsonl"
    link.symlink_to(shared.folder / "lines.jsonl")
    return state
