"""The page of all cells: ``index.html``, and the same as ``cells.json``."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict
from html import escape
from itertools import groupby
from pathlib import Path

from edge_ad_export.many.cell import folder_of
from edge_ad_export.many.running import Row
from edge_ad_runtime.artifact.atomic import write_file
from edge_ad_runtime.errors import ExportError
from edge_ad_runtime.escaping import json_text

_COLUMNS = (
    "setting", "image AUROC", "pixel AUROC", "PRO", "spread of good parts", "good left out",
    "bank, times least radius", "ms per image", "MB", "fitted in",
)  # fmt: skip
_NOTE = """Times are of one thread, beside whatever else ran on the machine. The spread says how
far the scores of good images that were left out reach above what is usual: the 90th percentile less
the median, divided by the median."""
_STYLE = """
body { font-family: sans-serif; max-width: 1100px; margin: 2em auto; padding: 0 1em; }
table { border-collapse: collapse; width: 100%; margin-bottom: 2em; }
th, td { text-align: right; padding: 3px 10px; border-bottom: 1px solid #ddd; }
th:first-child, td:first-child { text-align: left; }
thead th { font-weight: normal; color: #555; vertical-align: bottom; }
.best { font-weight: bold; background: #eef6ee; }
.failed { color: #a00; text-align: left; }
.note { color: #555; font-size: 13px; }
"""


def best_of(rows: Sequence[Row]) -> tuple[Row | None, str]:
    """The best setting of one part, and by what it was chosen.

    With labelled images it is the image AUROC, and the time where that is equal. Without, it is how
    close together the scores of good parts are that were left out, and the time where that is not
    known.
    """
    done = [(row, row.record.figures) for row in rows if row.record is not None]
    if not done:
        return None, ""
    judged = [(row, f) for row, f in done if f.image_auroc is not None]
    if judged:
        row, _ = min(
            judged, key=lambda each: (-round(each[1].image_auroc or 0, 6), each[1].image_ms)
        )
        return row, "the highest image AUROC on its labelled images, then the time"
    known = [(row, f) for row, f in done if f.spread is not None]
    if known:
        row, _ = min(known, key=lambda each: (each[1].spread, each[1].image_ms))
        return row, (
            "the smallest spread of good parts that were left out; no labelled image was looked "
            "at, so nothing is known of defects"
        )
    row, _ = min(done, key=lambda each: each[1].image_ms)
    return row, "the time alone, as nothing else is known"


def write_page(rows: Sequence[Row], out: Path) -> None:
    """Write ``index.html`` and ``cells.json`` into ``out``, each atomically.

    Raises:
        ExportError: they cannot be written.
    """
    parts = [list(of_part) for _, of_part in groupby(rows, key=lambda row: row.cell.part.name)]
    failed = sum(row.record is None for row in rows)
    content = "".join(_section(of_part, out) for of_part in parts)
    page = f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><title>{len(rows)} cells</title>
<style>{_STYLE}</style>
<h1>{len(parts)} parts, {len(rows)} cells{f", {failed} failed" if failed else ""}</h1>
<p class="note">{_NOTE}</p>
{content}
</html>
"""
    try:
        write_file(out / "cells.json", json_text([_json(row) for row in rows], indent=2).encode())
        write_file(out / "index.html", page.encode())
    except OSError as exc:
        raise ExportError(f"{out}: cannot be written: {exc.strerror}") from exc


def _section(rows: Sequence[Row], out: Path) -> str:
    best, why = best_of(rows)
    name = rows[0].cell.part.name
    head = "".join(f"<th>{column}</th>" for column in _COLUMNS)
    body = "".join(_row(row, out, is_best=row is best) for row in rows)
    chosen = (
        ""
        if best is None
        else (f"<p>Best: <b>{escape(best.cell.setting.name)}</b>, by {escape(why)}.</p>")
    )
    return (
        f"<h2>{escape(name)}</h2>{chosen}"
        f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    )


def _row(row: Row, out: Path, *, is_best: bool) -> str:
    name = escape(row.cell.setting.name)
    if row.record is None:
        columns = len(_COLUMNS) - 1
        return f'<tr><td>{name}</td><td class="failed" colspan="{columns}">failed: {escape(row.error)}</td></tr>'  # noqa: E501
    record, figures = row.record, row.record.figures
    link = os.path.relpath(folder_of(row.cell, out), out)
    cells = [
        f'<a href="{escape(link)}">{name}</a>{" (best)" if is_best else ""}',
        _number(figures.image_auroc, ".4f"),
        _number(figures.pixel_auroc, ".4f"),
        _number(figures.pro, ".4f"),
        _number(figures.spread, ".2f"),
        str(figures.left_out),
        _number(figures.covering_ratio, ".2f"),
        f"{figures.image_ms:.0f}",
        f"{figures.size_bytes / 1e6:.1f}",
        f"{record.seconds:.0f} s",
    ]
    notes = "<br>".join(escape(note) for note in record.notes)
    more = f'<tr><td class="note" colspan="{len(cells)}">{notes}</td></tr>' if notes else ""
    classes = ' class="best"' if is_best else ""
    return f"<tr{classes}>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>{more}"


def _number(value: float | None, form: str) -> str:
    return "–" if value is None else format(value, form)


def _json(row: Row) -> dict[str, object]:
    known = {} if row.record is None else asdict(row.record)
    names = {"part": row.cell.part.name, "setting": row.cell.setting.name}
    return {**names, **known, "error": row.error or None}
