"""The table that people watch: a line for each cell, drawn anew where the terminal can."""

from __future__ import annotations

import shutil
import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import click

from edge_ad_export.many.cell import step_file
from edge_ad_export.many.plan import Cell
from edge_ad_export.many.running import Row
from edge_ad_runtime.escaping import shown
from edge_ad_runtime.progress import is_quiet

_REDRAWN_S = 0.5


class LiveTable:
    """Shows rows on stderr as they become known.

    On a terminal the table is drawn in place, with what each cell is doing. Elsewhere each row that
    becomes known is a line. With ``--quiet`` there is neither.

    Args:
        cells: all cells.
        out: the folder of the results, where cells say what they are doing.
    """

    def __init__(self, cells: Sequence[Cell], out: Path) -> None:
        self._cells = cells
        self._out = out
        self._rows: dict[int, Row] = {}
        self._start = time.monotonic()
        self._drawn = 0
        self._done = threading.Event()
        self._shown = not is_quiet()
        self._in_place = self._shown and sys.stderr.isatty()
        self._thread = threading.Thread(target=self._redraw, daemon=True)

    def tell(self, number: int, row: Row) -> None:
        """Know the row of a cell."""
        self._rows[number] = row
        if self._shown and not self._in_place:
            line = f"{len(self._rows)}/{len(self._cells)} {row.cell.name}: {text_of(row)}"
            click.echo(shown(line), err=True)

    def __enter__(self) -> Self:
        if self._in_place:
            self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._in_place:
            self._done.set()
            self._thread.join()
            self._draw()

    def _redraw(self) -> None:
        while not self._done.wait(_REDRAWN_S):
            self._draw()

    def _draw(self) -> None:
        size = shutil.get_terminal_size()
        lines = [line[: size.columns - 1] for line in self.lines(size.lines - 2)]
        up = f"\x1b[{self._drawn}F" if self._drawn else ""
        sys.stderr.write(up + "".join(f"\x1b[2K{line}\n" for line in lines) + "\x1b[J")
        sys.stderr.flush()
        self._drawn = len(lines)

    def lines(self, most: int) -> list[str]:
        """The table, of so many lines at most: what runs and what failed comes first."""
        texts = {}
        for number, cell in enumerate(self._cells):
            row = self._rows.get(number)
            texts[number] = (self._step(cell) or "waiting") if row is None else text_of(row)
        ranks = {n: self._rank(n, text) for n, text in texts.items()}
        chosen = sorted(texts, key=lambda n: (ranks[n], n))[: max(1, most - 1)]
        width = max(len(cell.name) for cell in self._cells)
        states = Counter(self._state(n, texts[n]) for n in texts)
        head = ", ".join(f"{count} {state}" for state, count in states.items())
        elapsed = time.monotonic() - self._start
        return [
            f"{head}; {elapsed:.0f} s",
            *(f"  {self._cells[n].name:<{width}}  {shown(texts[n])}" for n in sorted(chosen)),
        ]

    def _step(self, cell: Cell) -> str:
        try:
            return step_file(cell, self._out).read_text(encoding="utf-8") + " ..."
        except OSError:
            return ""

    def _state(self, number: int, text: str) -> str:
        row = self._rows.get(number)
        if row is None:
            return "waiting" if text == "waiting" else "running"
        return "failed" if row.record is None else "done"

    def _rank(self, number: int, text: str) -> int:
        return ["running", "failed", "done", "waiting"].index(self._state(number, text))


def text_of(row: Row) -> str:
    """A row in a few words."""
    if row.record is None:
        return f"failed: {row.error}"
    figures = row.record.figures
    auroc = "" if figures.image_auroc is None else f"image AUROC {figures.image_auroc:.4f}, "
    spread = "" if figures.spread is None else f"spread {figures.spread:.2f}, "
    how = "there already" if row.was_there else f"{row.record.seconds:.0f} s"
    return f"{auroc}{spread}{figures.image_ms:.0f} ms, {figures.size_bytes / 1e6:.0f} MB ({how})"
