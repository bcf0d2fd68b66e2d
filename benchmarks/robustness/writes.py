"""Writing cut short: under the name is the old or the new, whole; and what is said of it is true.

The commands run in forks of a process that has everything imported. A library that is preloaded
(``failing_disk.c``) kills them before or after a step that writes, or lets it fail as a full disk
does; others are killed at any moment, told to end, or run on a disk or under a limit that is small.
"""

from __future__ import annotations

import os
import random
import resource
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from benchmarks.robustness.forks import LIMIT_S, STUCK, Bench, Ended
from benchmarks.robustness.trial import Outcome, Trial, Worker
from benchmarks.robustness.write_commands import COMMANDS, digest, prepare
from edge_ad_runtime.errors import EdgeADError

KINDS = ("steps", "moments", "room")
WAYS = ("killed before", "killed after", "failed", "disk full from")  # failing_disk.c counts from 1
OLD, NEW, NOTHING = "as before", "new and whole", "nothing there, as before"
OUTCOMES = (OLD, NEW, NOTHING)
LOST, TORN, UNTRUE, LITTER, TRACEBACK = (
    "the old one is gone", "not whole", "what is said is not true", "left behind", "traceback",
)  # fmt: skip

_SOURCE = Path(__file__).with_name("failing_disk.c")
_RUN_AGAIN = 10  # after one step in so many the command is run again, wholly
_TIDY = ("unlink", "unlinkat", "rmdir")  # where these fail, something is left


def worker(kinds: Sequence[str], seed: int, *, commands: Sequence[str] = (*COMMANDS,)) -> Worker:
    """A process that makes trials of `open_trials`.

    Args:
        kinds: some of `KINDS`, whose trials take turns.
        seed: of the trials.
        commands: those to attack.

    Raises:
        SystemExit: there is no C compiler.
    """
    folder = Path(tempfile.mkdtemp())
    library = folder / "failing_disk.so"
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("g++")
    if compiler is None:
        raise SystemExit("attacks on writing need a C compiler; none of cc, gcc and g++ is there")
    options = ["-shared", "-fPIC", "-O1", "-x", "c", "-o", str(library), str(_SOURCE), "-ldl"]
    subprocess.run([compiler, *options], check=True)
    return Worker(
        "writes",
        str(library),
        str(seed),
        "+".join(kinds),
        *commands,
        limit_s=2 * LIMIT_S,
        most_bytes=1 << 40,
        environment={"LD_PRELOAD": str(library)},
    )


def open_trials(library: str, seed: str, kinds: str, *commands: str) -> Trial:
    """The function from a number to a run of a command that is cut short."""
    bench = Bench(library, Path(tempfile.mkdtemp()), commands)
    cases = [(name, has_old) for name in commands for has_old in (True, False)]
    plan: list[tuple[str, bool, int, int]] = []
    if "steps" in kinds:
        plan = [
            (name, has_old, way, step)
            for name, has_old in cases
            for way in range(1, len(WAYS) + 1)
            for step in _different(bench.steps(name, has_old))
        ]
        random.Random(seed).shuffle(plan)

    def trial(number: int) -> Callable[[], Outcome]:
        number, turn = divmod(number, kinds.count("+") + 1)
        kind = kinds.split("+")[turn]
        rng = random.Random(f"{seed}/{kind}/{number}")
        if kind == "steps":
            return lambda: _at_step(bench, *plan[number % len(plan)])
        name, has_old = cases[number % len(cases)]
        attack = _at_moment if kind == "moments" else _without_room
        return lambda: attack(bench, name, has_old, rng)

    return trial


def _different(calls: list[str]) -> list[int]:
    """Steps, counted from 1, without those that write on where the one before and after do."""
    around = zip(["", *calls], calls, [*calls[1:], ""], strict=False)
    return [i for i, three in enumerate(around, start=1) if set(three) != {"write"}]


def _at_step(bench: Bench, name: str, has_old: bool, way: int, step: int) -> Outcome:
    called = bench.steps(name, has_old)[step - 1]
    out = bench.set_out(name, has_old)
    before = digest(out)
    ended = bench.run(COMMANDS[name].arguments(bench.inputs, out), arm=(step, way, -1))
    how = f"{WAYS[way - 1]} step {step} ({called}), {_old(has_old)}"
    must_be_tidy = way >= 3 and called not in _TIDY
    runs_again = step % _RUN_AGAIN == 0
    return _judged(
        bench, name, out, before, ended, how, must_be_tidy=must_be_tidy, runs_again=runs_again
    )


def _at_moment(bench: Bench, name: str, has_old: bool, rng: random.Random) -> Outcome:
    which = rng.choice([signal.SIGKILL, signal.SIGTERM])
    after_s = rng.uniform(0, bench.took_s(name, has_old))
    out = bench.set_out(name, has_old)
    before = digest(out)
    arguments = COMMANDS[name].arguments(bench.inputs, out)
    ended = bench.run(arguments, signal_at=(which, after_s))
    how = f"{which.name} after {after_s:.3f} s, {_old(has_old)}"
    must_be_tidy = ended.code == 128 + signal.SIGTERM
    return _judged(bench, name, out, before, ended, how, must_be_tidy=must_be_tidy)


def _without_room(bench: Bench, name: str, has_old: bool, rng: random.Random) -> Outcome:
    most_bytes = int(10 ** rng.uniform(2, 6.5))
    out = bench.set_out(name, has_old)
    mounted = rng.random() < 0.5 and _mount(bench.work, most_bytes)
    try:
        if mounted:
            try:
                prepare(bench.inputs, COMMANDS[name], out, has_old=has_old)
            except (OSError, EdgeADError):
                return Outcome(kind=NOTHING, what=name, detail="no room for the old one")
        before = digest(out)
        arguments = COMMANDS[name].arguments(bench.inputs, out)

        def limit() -> None:
            if not mounted:
                signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
                resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes,) * 2)

        ended = bench.run(arguments, before=limit)
        how = f"{'a disk' if mounted else 'files'} of {most_bytes} bytes, {_old(has_old)}"
        return _judged(bench, name, out, before, ended, how, must_be_tidy=True)
    finally:
        if mounted:
            subprocess.run(["umount", str(bench.work)], check=False)


def _mount(folder: Path, size_bytes: int) -> bool:
    """A small disk in memory there, if this process may."""
    pages = max(2, size_bytes // 4096)
    command = ["mount", "-t", "tmpfs", "-o", f"size={4 * pages}k", "tmpfs", str(folder)]
    if os.geteuid() != 0 or shutil.which("mount") is None:
        return False
    return subprocess.run(command, check=False, stderr=subprocess.DEVNULL).returncode == 0


def _old(has_old: bool) -> str:
    return "over an old one" if has_old else "to a new name"


def _judged(
    bench: Bench,
    name: str,
    out: Path,
    before: str,
    ended: Ended,
    how: str,
    *,
    must_be_tidy: bool = False,
    runs_again: bool = False,
) -> Outcome:
    """What is under the name now, and whether it and what was said are right."""
    kind, said = _state(name, out, before), ended.last_line
    if kind in OUTCOMES:
        kind = _fault(bench, name, out, kind, ended, must_be_tidy) or kind
    if kind in OUTCOMES and runs_again:
        kind = _fault_of_next_run(bench, name, out) or kind
    detail = f"{how}: exit {ended.code}, {said}"
    if kind not in OUTCOMES:
        detail += f" | {sorted(os.listdir(bench.work))} | {ended.said[-800:]}"  # noqa: PTH208
    return Outcome(kind=kind, what=name, detail=detail)


def _state(name: str, out: Path, before: str) -> str:
    now = digest(out)
    if now == before:
        return OLD if before else NOTHING
    if not now:
        return LOST
    try:
        COMMANDS[name].is_whole(out)
    except Exception:
        return TORN
    return NEW


def _fault(
    bench: Bench, name: str, out: Path, state: str, ended: Ended, must_be_tidy: bool
) -> str | None:
    """What is wrong beside what is under the name."""
    if ended.code == 124:
        return STUCK
    if "Traceback" in ended.said:
        return TRACEBACK
    if ended.code not in (0, 1, -signal.SIGKILL, -signal.SIGTERM, 128 + signal.SIGTERM):
        return f"exit {ended.code}"
    if ended.code == 0 and state != NEW:
        return UNTRUE
    if ended.code == 1 and not ended.last_line.startswith("edge-ad: "):
        return UNTRUE
    if "nothing was changed" in ended.said and state == NEW:
        return UNTRUE
    if "the new one is in place" in ended.said and state != NEW:
        return UNTRUE
    if must_be_tidy and _left(bench, name):
        return LITTER
    with suppress(OSError):  # on a disk that is still full
        COMMANDS[name].tidies(out)
        if _left(bench, name):
            return f"{LITTER} after the next run"
    return None


def _fault_of_next_run(bench: Bench, name: str, out: Path) -> str | None:
    ended = bench.run(COMMANDS[name].arguments(bench.inputs, out))
    if ended.code != 0 or _state(name, out, "") != NEW or _left(bench, name):
        return f"the next run: exit {ended.code}, {ended.last_line}"
    return None


def _left(bench: Bench, name: str) -> list[str]:
    """Names in the folder that nobody asked for."""
    left = [path.name for path in bench.work.iterdir() if path.name != "out"]
    if COMMANDS[name].in_place:
        sound = {path.name for path in COMMANDS[name].old(bench.inputs).iterdir()}
        inside = {path.name for path in (bench.work / "out").iterdir()}
        left += sorted(inside - sound - {"device.json"})
    return left
