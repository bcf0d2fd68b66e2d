"""How far long work has come, on stderr: a bar in a terminal, lines in a log.

A bar is drawn by going back to the start of its line, which a file or a pipe keeps as one endless
line. There each tenth is a line of its own, and so is each minute, as a tenth of a training may
take a quarter of an hour. With ``--quiet`` there is neither.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator, Sized
from types import TracebackType
from typing import Any, Generic, TypeVar

import click

QUIET = "edge_ad.quiet"
"""The key in click's ``meta`` under which ``--quiet`` is kept."""

T = TypeVar("T")

_TENTHS = 10
_LONGEST_SILENCE_S = 60


def is_quiet() -> bool:
    """Whether the command that runs was given ``--quiet``."""
    context = click.get_current_context(silent=True)
    return context is not None and bool(context.meta.get(QUIET))


class ProgressBar(Generic[T]):
    """Steps of long work, which are counted by going through an iterable or by `update`.

    Args:
        iterable: what is gone through. None if the steps are counted by `update`.
        desc: one word for the work.
        unit: one word for a step.
        total: the number of steps. It may be left out if the iterable knows its length.
        initial: how many of them are done already.
        disable: show nothing.
    """

    def __init__(
        self,
        iterable: Iterable[T] = (),
        desc: str = "",
        unit: str = "step",
        *,
        total: int | None = None,
        initial: int = 0,
        disable: bool = False,
    ) -> None:
        self._iterable = iterable
        self._desc, self._unit = desc, unit
        self._total = len(iterable) if total is None and isinstance(iterable, Sized) else total or 0
        self._done = initial
        self._note = ""
        self._is_named = False  # names of steps are lines enough
        self._began = self._said = time.monotonic()
        self._tenth = _TENTHS * initial // max(self._total, 1)
        self._shown = not disable and not is_quiet()
        self._bar: Any = None
        if self._shown and sys.stderr.isatty():
            self._bar = click.progressbar(
                length=self._total,
                label=desc,
                show_pos=True,
                item_show_func=lambda _: self._note or None,
                file=sys.stderr,
            )
            self._bar.__enter__()
            self._bar.update(initial)

    def __iter__(self) -> Iterator[T]:
        with self:
            for item in self._iterable:
                yield item
                self.update()

    def __enter__(self) -> ProgressBar[T]:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.__exit__(kind, error, traceback)
            self._bar = None

    def update(self, steps: int = 1) -> None:
        """Count steps that are done."""
        self._done += steps
        if self._bar is not None:
            self._bar.update(steps)
        elif self._shown and not self._is_named and self._is_due():
            self._line(f"{self._done} of {self._total} {_plural(self._unit)}{self._noted}")

    def _is_due(self) -> bool:
        tenth = _TENTHS * self._done // max(self._total, 1)
        is_due = tenth > self._tenth or time.monotonic() - self._said > _LONGEST_SILENCE_S
        self._tenth = max(tenth, self._tenth)
        return is_due

    def begin(self, step: str) -> None:
        """Name the step that begins now. In a log its name is a line of its own."""
        self._note = step
        if self._bar is not None:
            self._bar.update(0)
            self._bar.render_progress()
        elif self._shown:
            self._line(f"{step}, {self._unit} {self._done + 1} of {self._total}")
            self._is_named = True

    def set_postfix(self, **values: Any) -> None:
        """Values that are shown beside the bar from now on."""
        self._note = ", ".join(f"{name} {value}" for name, value in values.items())

    @property
    def _noted(self) -> str:
        return f", {self._note}" if self._note else ""

    def _line(self, text: str) -> None:
        self._said = time.monotonic()
        click.echo(f"{self._desc}: {text}, {self._said - self._began:.0f} s", err=True)


def _plural(unit: str) -> str:
    """The plural of a unit.

    >>> [_plural(unit) for unit in ("image", "patch", "epoch")]
    ['images', 'patches', 'epochs']
    """
    return f"{unit}es" if unit.endswith("tch") else f"{unit}s"
