"""``edge-ad watch`` for thousands of frames: each has its line, none is torn, and nothing grows.

Three runs of the command, one after the other, on one folder and one file of lines. The first gets
most of the frames, is stopped and continued, loses its folder and gets it back, and is told to end
in mid-burst. The second takes over what was left, and is killed in mid-burst; the third takes over
from it. Then two at once write to one file of lines.
"""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.harness.process import memory_bytes
from benchmarks.robustness.frames import Camera, Frame, pictures
from benchmarks.robustness.watch import Soak, all_judged, judge, watching
from edge_ad_runtime import Detector

_KEPT = 300  # files; older ones that have their line are removed, as a line's clean-up does
_SAMPLE_EVERY = 50  # frames
_GROWTH_BYTES = 8_000_000  # that the allocator may need for larger images than before
_BURST = 40


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

    with watching(state, "first") as process:
        for i in range(first):
            camera.deliver(next(numbers), rng)
            tick()
            _disturbed(state, camera, process, i, first)
        _ended(state, camera, process, signal.SIGTERM, rng, numbers)
    for how in (signal.SIGKILL, signal.SIGTERM):
        _remove_judged(state, camera)
        with watching(state, f"after {len(camera.frames)}", "--existing") as process:
            for number in _taken(numbers, second):
                camera.deliver(number, rng)
                tick()
            _ended(state, camera, process, how, rng, numbers, burst=how == signal.SIGKILL)
    judge(state, camera.frames)
    _judge_growth(state)
    _two_at_once(state, known["good.png"].content, known["good.png"].verdict)
    return {
        "frames": len(camera.frames),
        "lines": sum(map(len, state.found().values())),
        "deliveries": dict(Counter(frame.how for frame in camera.frames)),
        "samples": state.samples,
        "faults": state.faults,
    }


def _disturbed(
    state: Soak, camera: Camera, process: subprocess.Popen[bytes], frame: int, frames: int
) -> None:
    """What befalls the first watch after so many of its frames."""
    if frame % _SAMPLE_EVERY == 0:
        state.samples.append((frame, *_size(process.pid)))
        _clean(state, camera)
    if frame % 500 == 250:
        _stopped_for_a_while(process)
    if frame == frames // 2:
        _folder_away(state, camera)


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
    all_judged(state, camera.frames)
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
        all_judged(state, camera.frames)
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


def _remove_judged(state: Soak, camera: Camera) -> None:
    """What has its line goes; what is left is for the next run."""
    found = state.found()
    for frame in camera.frames:
        path = state.watched / frame.name
        if frame.name in found and (path.is_symlink() or path.exists()):
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


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
    with watching(_beside(folders[0], shared), "a"), watching(_beside(folders[1], shared), "b"):
        for name in names:
            for side, path in zip(("l", "r"), folders, strict=True):
                (path / f"{side}.partial").write_bytes(content)
                (path / f"{side}.partial").replace(path / f"{side}{name}")
        frames = [Frame(side + name, "two", (verdict,)) for side in "lr" for name in names]
        all_judged(shared, frames)
    judge(shared, frames)


def _beside(watched: Path, shared: Soak) -> Soak:
    """A soak of another folder whose lines go to the shared file."""
    state = Soak(watched.parent, shared.artifact, shared.limit_s, shared.faults)
    link = state.folder / "lines.jsonl"
    link.symlink_to(shared.folder / "lines.jsonl")
    return state
