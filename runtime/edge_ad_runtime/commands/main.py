"""The ``edge-ad`` command. Results go to stdout and talk goes to stderr.

The exit code is 0 if all is fine, 1 if something was refused, and 2 for wrong usage. Names and
messages from outside are escaped before they are printed, see `edge_ad_runtime.escaping`.

A command is imported when it is called, so that ``edge-ad --help`` answers at once. The two tables
below say what each command does. Other distributions add commands through the entry-point group
``edge_ad.commands``.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from types import FrameType
from typing import Any, NamedTuple

import click

from edge_ad_runtime import __version__
from edge_ad_runtime.commands.talk import tell, tell_of_disk
from edge_ad_runtime.errors import EdgeADError
from edge_ad_runtime.progress import QUIET


class Listed(NamedTuple):
    """A command before it is imported: where it is, and what ``edge-ad --help`` says of it."""

    home: str
    help: str


# Both tables are in the order of use. A command of the workshop is shown where its entry point is
# installed.
WORKSHOP = {
    "demo": "Draw synthetic parts and take them the whole way.",
    "line-demo": "Draw parts on a line, and show in a browser what is made of them.",
    "suggest": "Try a few sizes, layers and networks, and print the fit command of the best.",
    "fit": "Learn what good parts look like from good images.",
    "export": "Compile a fit folder into a proven artifact.",
    "evaluate": "Measure an artifact on labelled images.",
    "fit-many": "Fit, export and measure many parts with many settings.",
}
_HERE = "edge_ad_runtime.commands"
DEVICE = {
    "verify": Listed(
        f"{_HERE}.verify:verify", "Prove that this machine gives the exported scores."
    ),
    "score": Listed(f"{_HERE}.score:score", "Score images, one line each."),
    "watch": Listed(
        f"{_HERE}.watch:watch_folder",
        "Score images as they come into a folder, one JSON line each.",
    ),
    "serve": Listed(
        "edge_ad_line.commands.serve:serve",
        "Run a line: cameras in, verdicts out, with pages, metrics and sinks.",
    ),
    "profile": Listed(
        f"{_HERE}.profile:profile", "Time every stage per image, cold start, and memory."
    ),
    "tune": Listed(
        f"{_HERE}.tune:tune", "Find the fastest search and number of threads on this machine."
    ),
    "compile": Listed(
        f"{_HERE}.compile:compile_",
        "Compile the network with TensorRT or TensorRT-RTX, for this machine's GPU.",
    ),
    "compare": Listed(
        f"{_HERE}.compare:compare", "Hold an artifact's verdicts against those of the one before."
    ),
    "threshold": Listed(
        f"{_HERE}.threshold:threshold",
        "Make an artifact with another threshold, or say which its scores support.",
    ),
    "pack": Listed(
        f"{_HERE}.pack:pack", "Write an artifact as one file, for every command to take."
    ),
    "info": Listed(
        f"{_HERE}.info:info", "Say what an artifact is and where its threshold is from."
    ),
}


class EdgeADGroup(click.Group):
    """The device's commands and those of the entry points. Our own errors are told in one line."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All command names in the order of use, the workshop's where it is installed."""
        return [name for rows in _sections().values() for name, _ in rows]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command of that name: one of the device's, or else one of an entry point."""
        command: click.Command
        if cmd_name in DEVICE:
            module, _, name = DEVICE[cmd_name].home.partition(":")
            command = getattr(import_module(module), name)
        elif point := next((point for point in _plugins() if point.name == cmd_name), None):
            command = point.load()
        elif cmd_name in WORKSHOP:
            raise NotHereError(
                f"{cmd_name} is a command of the workshop, which is not installed here: "
                "pip install edge-ad, on the machine that learns. This is edge-ad-runtime, which "
                "scores what was exported there"
            )
        else:
            return None
        return _with_quiet(command)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of ``edge-ad --help`` without importing a command."""
        for title, rows in _sections().items():
            with formatter.section(title):
                formatter.write_dl(rows)

    def make_context(self, *arguments: Any, **settings: Any) -> click.Context:
        """Parse the options. ``--help`` is printed here, which may find the disk full too."""
        try:
            return super().make_context(*arguments, **settings)
        except OSError as exc:
            tell_of_disk(exc)
            raise SystemExit(1) from exc

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command. An EdgeADError is told in one line and gives exit code 1."""
        try:
            return super().invoke(ctx)
        except EdgeADError as exc:
            tell(str(exc))
            ctx.exit(1)
        except OSError as exc:
            tell_of_disk(exc)
            ctx.exit(1)


class NotHereError(click.UsageError):
    """A command of the workshop was called where only the runtime is installed."""


def _with_quiet(command: click.Command) -> click.Command:
    """Give a command the option that all have."""
    if not any(param.name == "quiet" for param in command.params):
        command.params.append(
            click.Option(
                ["-q", "--quiet"],
                is_flag=True,
                expose_value=False,
                callback=_be_quiet,
                help="Show no progress and no advice. Errors and warnings are still told.",
            )
        )
    return command


def _be_quiet(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if value:
        ctx.meta[QUIET] = True


def _sections() -> dict[str, list[tuple[str, str]]]:
    """The names and help of the installed commands by section. No section is empty."""
    plugins = {point.name: point for point in _plugins()}
    others = sorted(plugins.keys() - WORKSHOP.keys() - DEVICE.keys())
    sections = {
        "Workshop": [(name, text) for name, text in WORKSHOP.items() if name in plugins],
        "Device": [(name, listed.help) for name, listed in DEVICE.items()],
        "Others": [(name, f"From {plugins[name].module}.") for name in others],
    }
    return {title: rows for title, rows in sections.items() if rows}


def _plugins() -> Iterable[EntryPoint]:
    return entry_points(group="edge_ad.commands")


@click.group(cls=EdgeADGroup)
@click.version_option(__version__, prog_name="edge-ad")
@click.pass_context
def main(ctx: click.Context) -> None:
    """Learn what good parts look like; ship a compiled detector that a factory device can trust.

    \b
    Example: edge-ad score line3.edgead part.png
    """
    if os.environ.get("NO_COLOR"):
        ctx.color = False
    _silence_decoders()
    warnings.showwarning = lambda message, *_: tell(f"warning: {message}")
    if threading.current_thread() is threading.main_thread():
        ctx.with_resource(_cleaned_up_on(signal.SIGTERM, signal.SIGHUP))


def _silence_decoders() -> None:
    """Keep OpenCV's decoders from writing to stderr, because we report the file ourselves."""
    os.environ["OPENCV_LOG_LEVEL"] = "SILENT"  # OpenCV reads it when a command imports it
    if (cv2 := sys.modules.get("cv2")) is not None:
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)


@contextmanager
def _cleaned_up_on(*numbers: signal.Signals) -> Iterator[None]:
    """Let these signals end the process as an exception does, so that temporary folders go too."""

    def end(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    previous = [signal.signal(number, end) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, previous, strict=True):
            signal.signal(number, handler)
