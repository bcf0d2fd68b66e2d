"""The plot of stated and realised rates, beside the section of benchmarks/README.md."""

from __future__ import annotations

from typing import Any

import matplotlib as mpl

from benchmarks.calibration.rates import WAYS, Row, rows
from benchmarks.harness.record import RESULTS

_MARKERS = {"leave-one-out": "o", "split": "s"}


def plot(record: dict[str, Any]) -> None:
    """A panel for each source: what was stated, and what was rejected, by way and n.

    Where nothing was rejected in any draw there is no point.
    """
    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "edge_ad"  # the same bytes from the same record
    from matplotlib import pyplot as plt

    found = [row for rate in (None, *record["rates"]) for row in rows(record, rate)]
    sources = list(dict.fromkeys(row.source for row in found))
    numbers = sorted({row.number for row in found})
    size = (max(8.0, 4.2 * len(sources)), 5)
    figure, axes = plt.subplots(
        1, len(sources), figsize=size, sharey=True, layout="constrained", squeeze=False
    )
    for axis, source in zip(axes[0], sources, strict=True):
        _panel(axis, source, [row for row in found if row.source == source], numbers)
    axes[0][0].set_ylabel("good images rejected, %")
    lines, labels = axes[0][0].get_legend_handles_labels()
    figure.legend(lines, labels, loc="outside lower center", ncols=3)
    figure.savefig(RESULTS / "calibration.svg", metadata={"Date": None})
    plt.close(figure)


def _panel(axis: Any, source: str, found: list[Row], numbers: list[int]) -> None:
    stated = [100 * row.stated for row in found]
    ends = [min(stated), max(stated)]
    axis.plot(ends, ends, color="grey", linewidth=1, label="stated = rejected")
    for way in WAYS:
        for i, number in enumerate(numbers):
            own = {row.stated: row for row in found if row.way == way and row.number == number}
            axis.errorbar(
                [100 * stated for stated in own],
                [100 * row.rejected for row in own.values()],
                yerr=[200 * row.error for row in own.values()],
                linestyle="none",
                marker=_MARKERS[way],
                markersize=5,
                markerfacecolor="none" if way == "split" else f"C{i}",
                color=f"C{i}",
                label=f"{way}, {number} images",
            )
    axis.set(title=source, xlabel="stated rate, %", xscale="log", yscale="log")
    for side in (axis.xaxis, axis.yaxis):
        side.set_major_formatter("{x:g}")
        side.set_minor_formatter("")
    axis.grid(alpha=0.3)
