"""The section of benchmarks/README.md on `benchmarks.line_drift`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks.harness.markdown import table


def section(record: dict[str, Any]) -> str:
    drawn, tiles = record["drawn"], record["magnetic_tile"]
    level = record["alarm_log10"]
    return f"""## Drift on the line

The evidence that scores are no longer like those before ([drift.py](../runtime/edge_ad_line/drift.py)), {record["calibration_scores"]} calibration scores, alarm at 10^{level:g}. Drawn scores are gamma of shape 9. Real ones are of {tiles["good_tiles"]} good magnetic tiles that PatchCore had not learned from, drawn with replacement. A stream is {_PARTS} parts. The theorem allows one false alarm in {10**level:,.0f} good parts on average, so {_expected(drawn, level):.1f} in the streams of good parts of a column.

{table(["", "drawn", "magnetic tile"], [_false(kind, name, drawn, tiles, level) for kind, name in _STREAMS.items()])}

Through the test tiles once, in {len(tiles["once_through"])} orders, after the artifact's own calibration scores: largest evidence 10^{max(tiles["once_through"]):.1f}.

How many parts pass until a change is found, median and worst of {len(drawn["shifts"][0]["delays"])} seeds. What comes soon after the start is found later or not, as little is known then of what is usual; a shift in sd of the good scores.

{table(["change", "good parts before", "drawn", "magnetic tile"], _delays(drawn, tiles))}"""


_PARTS = "20,000"
_STREAMS = {"good": "good parts", "defects_2_percent": "2% defects among them"}


def _expected(part: dict[str, Any], level: float) -> float:
    return float(len(part["good"]) * 20_000 / 10**level)


def _false(
    kind: str, name: str, drawn: dict[str, Any], tiles: dict[str, Any], level: float
) -> list[str]:
    cells = []
    for part in (drawn, tiles):
        alarms = sum(peak >= level for peak in part[kind])
        cells.append(
            f"{alarms} of {len(part[kind])} streams with an alarm, peak 10^{max(part[kind]):.1f}"
        )
    return [name, *cells]


def _delays(drawn: dict[str, Any], tiles: dict[str, Any]) -> list[list[str]]:
    rows = [
        [
            f"{one['sd']:+g} sd",
            f"{one['good_parts_before']:,}",
            *map(_found, (one["delays"], other["delays"])),
        ]
        for one, other in zip(drawn["shifts"], tiles["shifts"], strict=True)
    ]
    usual = np.array(tiles["scores"]["calibration"] + tiles["scores"]["as they are"])
    for name, delays in tiles["physical"].items():
        moved = (np.mean(tiles["scores"][name]) - usual.mean()) / usual.std()
        rows.append([f"{name} (scores move by {moved:+.2f} sd)", "2,000", "", _found(delays)])
    return rows


def _found(delays: Sequence[int | None]) -> str:
    found = [delay for delay in delays if delay is not None]
    if not found:
        return "no alarm within 2,000"
    missed = len(delays) - len(found)
    return f"{np.median(found):.0f}, worst {max(found)}" + (f"; {missed} missed" if missed else "")
