"""Commands in forks of a process that has everything imported, on a disk that can be made to fail.

The disk is ``failing_disk.c``, which `benchmarks.robustness.writes` compiles and preloads.
"""

from __future__ import annotations

import ctypes
import importlib
import os
import shutil
import signal
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.robustness.write_commands import COMMANDS, make_inputs, prepare
from edge_ad_runtime.commands.main import main

STUCK = "stuck"
LIMIT_S = 180.0
_IMPORTED = (
    "edge_ad.evaluation.evaluate",
    "edge_ad.fitting.fitting",
    "edge_ad.evaluation.report",
    "edge_ad_export.exporting",
)


@dataclass(frozen=True)
class Ended:
    """How a command ended: exit code (negative: signal), what it said on stderr, and how long."""

    code: int
    said: str
    took_s: float

    @property
    def last_line(self) -> str:
        """What is left on a terminal."""
        return (self.said.splitlines() or [""])[-1]


class Bench:
    """Where the commands run, in forks."""

    def __init__(self, library: str, folder: Path, commands: Sequence[str]) -> None:
        for module in _IMPORTED:
            importlib.import_module(module)
        self._disk = ctypes.CDLL(library)
        self._said = folder / "said"
        self.work = folder / "work"
        self.inputs = make_inputs(folder / "inputs", self._sound_run, commands)
        self._steps: dict[tuple[str, bool], list[str]] = {}
        self._took_s: dict[tuple[str, bool], float] = {}

    def set_out(self, name: str, has_old: bool) -> Path:
        """An empty folder with what is there before; gives the name to write."""
        shutil.rmtree(self.work, ignore_errors=True)
        self.work.mkdir()
        out = self.work / "out"
        prepare(self.inputs, COMMANDS[name], out, has_old=has_old)
        return out

    def steps(self, name: str, has_old: bool) -> list[str]:
        """The calls that a sound run of a command makes."""
        key = name, has_old
        if key not in self._steps:
            out = self.set_out(name, has_old)
            log = self._said.with_name("steps")
            with log.open("wb") as file:
                arguments = COMMANDS[name].arguments(self.inputs, out)
                ended = self.run(arguments, arm=(0, 0, file.fileno()))
            assert ended.code == 0, ended.said
            self._steps[key] = log.read_text(encoding="ascii").split()
            self._took_s[key] = ended.took_s
        return self._steps[key]

    def took_s(self, name: str, has_old: bool) -> float:
        """How long a sound run takes."""
        self.steps(name, has_old)
        return self._took_s[name, has_old]

    def run(
        self,
        arguments: list[str],
        *,
        arm: tuple[int, int, int] | None = None,
        before: Callable[[], None] = lambda: None,
        signal_at: tuple[signal.Signals, float] | None = None,
    ) -> Ended:
        """Run a command in a fork of this process.

        Args:
            arguments: of ``edge-ad``.
            arm: step, way and file to log to, of ``failing_disk.c``.
            before: run in the fork first.
            signal_at: a signal, and after how many seconds it is sent.
        """
        start = time.monotonic()
        child = os.fork()
        if child == 0:
            self._in_fork(arguments, arm, before)
        sent = False
        while time.monotonic() < start + LIMIT_S:
            found, status = os.waitpid(child, os.WNOHANG)
            if found:
                took_s = time.monotonic() - start
                said = self._said.read_text(encoding="utf-8", errors="replace")
                return Ended(os.waitstatus_to_exitcode(status), said, took_s)
            if signal_at and not sent and time.monotonic() > start + signal_at[1]:
                os.kill(child, signal_at[0])
                sent = True
            time.sleep(0.002)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        return Ended(124, f"{STUCK}: {arguments}", LIMIT_S)

    def _in_fork(
        self,
        arguments: list[str],
        arm: tuple[int, int, int] | None,
        before: Callable[[], None],
    ) -> None:
        code = 99
        try:
            output = os.open(self._said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            os.dup2(output, 2)
            before()
            if arm is not None:
                step, way, log = arm
                self._disk.arm(os.fsencode(self.work), ctypes.c_long(step), way, log)
            main(arguments)
        except SystemExit as exc:
            code = exc.code if isinstance(exc.code, int) else 1
        except BaseException:
            traceback.print_exc()
        finally:
            self._disk.disarm()
            os._exit(code)

    def _sound_run(self, arguments: list[str]) -> None:
        ended = self.run(arguments)
        assert ended.code == 0, ended.said
