"""``edge-ad serve``: cameras in, verdicts out, until SIGTERM."""

from __future__ import annotations

import logging
import queue
import signal
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import click

from edge_ad_runtime.commands.talk import tell
from edge_ad_runtime.errors import ConfigError, EdgeADError

if TYPE_CHECKING:
    from edge_ad_line.checking import Check
    from edge_ad_line.config import LineConfig
    from edge_ad_line.line import Line

_LOOK_S = 1.0
_NEEDED = ("paho.mqtt", "prometheus_client", "starlette", "uvicorn")


@click.command("serve")
@click.argument("config", type=click.Path(path_type=Path))
@click.option("--check", is_flag=True, help="Open every camera, artifact and sink, and end.")
def serve(config: Path, check: bool) -> None:
    """Run a line: cameras in, verdicts out, with pages, metrics and sinks.

    Goes on until SIGTERM or Ctrl-C, then finishes what waits and exits with 0. SIGHUP reads the
    file again and takes all of it or nothing.

    \b
    Example: edge-ad serve line.toml --check
    """
    _require_extra()
    from edge_ad_line.config import LineConfig

    logging.basicConfig(level=logging.INFO, format="%(message)s", handlers=[_Told()], force=True)
    settings = LineConfig.read(config)
    if check:
        from edge_ad_line.checking import check_line

        _tell_checks(check_line(settings))
        return
    _serve(config, settings)


def _require_extra() -> None:
    from importlib.util import find_spec

    missing = [name for name in _NEEDED if find_spec(name.partition(".")[0]) is None]
    if missing:
        raise ConfigError(
            f"edge-ad serve needs {', '.join(missing)}: pip install 'edge-ad-runtime[serve]'"
        )


class _Told(logging.Handler):
    """The log goes to stderr in the words and the form of all commands."""

    def emit(self, record: logging.LogRecord) -> None:
        """Tell one line, and of a bug its traceback."""
        if record.name.startswith("edge_ad_line") or record.levelno >= logging.WARNING:
            tell(self.format(record))


def _serve(path: Path, settings: LineConfig) -> None:
    from edge_ad_line.line import Line
    from edge_ad_line.notify import notify
    from edge_ad_line.web_server import WebServer

    with _signals() as received:
        notify("STATUS=verifying the artifacts")
        line = Line.open(settings)
        try:
            server = None if settings.web is None else WebServer(line, settings.web)
            line.start()
            if server is not None:
                server.start()
            where = "" if server is None else f", {server.address}"
            tell(f"{len(line.parts)} parts verified, {len(settings.camera)} cameras{where}")
            notify("READY=1\nSTATUS=running")
            _wait(line, path, received)
            notify("STOPPING=1\nSTATUS=finishing what waits")
            line.drain()
            line.events.close()
            if server is not None:
                server.stop()
            tell("stopped; what was not sent is sent after the next start")
        finally:
            line.close()


def _wait(line: Line, path: Path, received: queue.SimpleQueue[int]) -> None:
    """Tell the watchdog that scoring goes on, and reload on SIGHUP, until another signal comes."""
    from edge_ad_line.notify import notify, watchdog_s

    every_s = min(_LOOK_S, watchdog_s() or _LOOK_S)
    while True:
        try:
            number = received.get(timeout=every_s)
        except queue.Empty:
            if line.makes_progress():
                notify("WATCHDOG=1")
                line.metrics.alive(time.time())
            continue
        if number != signal.SIGHUP:
            return
        _reload(line, path)


def _reload(line: Line, path: Path) -> None:
    from edge_ad_line.config import LineConfig
    from edge_ad_line.notify import notify

    notify("RELOADING=1\nMONOTONIC_USEC=" + str(time.monotonic_ns() // 1000))
    try:
        line.reload(LineConfig.read(path))
        tell(f"{path}: taken")
    except EdgeADError as exc:
        tell(f"{exc}; nothing was changed")
    notify("READY=1")


def _tell_checks(checks: Iterable[Check]) -> None:
    failed = 0
    for check in checks:
        click.echo(f"{'ok    ' if check.ok else 'FAILED'}  {check.what}: {check.found}")
        failed += not check.ok
    if failed:
        raise EdgeADError(f"{failed} of these cannot work; nothing was started")


@contextmanager
def _signals() -> Iterator[queue.SimpleQueue[int]]:
    """Collect SIGTERM, SIGINT and SIGHUP, so that work in hand is finished first."""
    received: queue.SimpleQueue[int] = queue.SimpleQueue()

    def receive(number: int, frame: FrameType | None) -> None:
        received.put(number)

    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    previous = [signal.signal(number, receive) for number in numbers]
    try:
        yield received
    finally:
        for number, handler in zip(numbers, previous, strict=True):
            signal.signal(number, handler)
