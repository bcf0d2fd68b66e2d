"""All cells of a plan, here or on a cluster. What is done already is not done again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from edge_ad.compute import Cluster
from edge_ad_export.many.cell import CellRecord, finished, folder_of, run_cell, step_file
from edge_ad_export.many.plan import Cell
from edge_ad_runtime.errors import EdgeADError


@dataclass(frozen=True, kw_only=True)
class Row:
    """What is known of a cell.

    Attributes:
        cell: the cell.
        record: what it has measured, if it is done.
        error: why it could not be done, in one line.
        was_there: whether an earlier run has done it.
    """

    cell: Cell
    record: CellRecord | None = None
    error: str = ""
    was_there: bool = False


def run_cells(
    cluster: Cluster, cells: Sequence[Cell], out: Path, told: Callable[[int, Row], None]
) -> list[Row]:
    """Do the cells that are missing. One that fails is a row with its error; the others go on.

    Args:
        cluster: where.
        cells: all cells.
        out: the folder of the results, which all machines reach.
        told: called with the number of each cell and its row, as soon as it is known.
    """
    (out / "cells").mkdir(parents=True, exist_ok=True)
    rows = {}

    def know(number: int, row: Row) -> None:
        rows[number] = row
        told(number, row)

    missing = []
    for number, cell in enumerate(cells):
        step_file(cell, out).unlink(missing_ok=True)  # of a run that was killed
        try:
            record = finished(folder_of(cell, out))
        except EdgeADError as exc:
            know(number, Row(cell=cell, error=_line(exc)))
            continue
        if record is None:
            missing.append(number)
        else:
            know(number, Row(cell=cell, record=record, was_there=True))
    work = partial(run_cell, out=out)
    for gpus in sorted({cells[number].setting.gpus for number in missing}):
        numbers = [number for number in missing if cells[number].setting.gpus == gpus]
        for outcome in cluster.map(work, [cells[number] for number in numbers], gpus=gpus):
            number = numbers[outcome.number]
            error = "" if outcome.error is None else _line(outcome.error)
            know(number, Row(cell=cells[number], record=outcome.value, error=error))
    return [rows[number] for number in range(len(cells))]


def _line(error: Exception) -> str:
    """An error in one line. One that is not ours is our bug, and named by its type."""
    text = (str(error) or "no message").splitlines()[0]
    return text if isinstance(error, EdgeADError) else f"{type(error).__name__}: {text}"
