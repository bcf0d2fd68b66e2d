"""``edge-ad fit-many``: parts times settings. Torch is imported when it runs."""

from __future__ import annotations

from pathlib import Path

import click

from edge_ad.commands.cluster import CLUSTER
from edge_ad_runtime.errors import ExportError


@click.command()
@click.argument("plan", type=click.Path(path_type=Path))
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path),
    help="The folder of the results. What is done there already is not done again.",
)
@CLUSTER
def fit_many(plan: Path, out: Path, cluster: str | None) -> None:
    """Fit, export and measure many parts with many settings.

    PLAN is a TOML file of parts and settings. Each pair is a cell: its folder in OUT/cells is named
    by the hash of its images, settings and versions, and appears when all of it is done. Run again
    after a failure, a crash or a change, and only what is missing is done. OUT/index.html compares
    all cells.

    \b
    Example: edge-ad fit-many parts.toml --out fits --cluster auto
    """
    from edge_ad.compute import connect
    from edge_ad_export.many.live_table import LiveTable
    from edge_ad_export.many.page import write_page
    from edge_ad_export.many.plan import read_plan
    from edge_ad_export.many.running import run_cells

    cells, out = read_plan(plan), out.resolve()
    with connect(cluster) as connected, LiveTable(cells, out) as table:
        rows = run_cells(connected, cells, out, table.tell)
    write_page(rows, out)
    failed = [row for row in rows if row.record is None]
    there = sum(row.was_there for row in rows)
    done = len(rows) - len(failed)
    click.echo(f"{done} of {len(rows)} cells are done, {there} of them before; {out}/index.html")
    if failed:
        first = failed[0]
        raise ExportError(
            f"{len(failed)} of {len(rows)} cells failed: {first.cell.name}: {first.error}"
            + (" (and others, see the page)" if len(failed) > 1 else "")
            + "; mend it and run the same again"
        )
