"""The plot of stated and realised rates, beside the section of benchmarks/README.md."""

from __future__ import annotations

from typing import Any

import matplotlib as mpl

from benchmarks.calibration.rates import WAYS, rows
from benchmarks.harness.record import RESULTS

_MARKERS = {"leave-one-out": "o", "split": "s"}


def plot(record: dict[str, Any]) -> None:
    """A panel for each source: what was stated, and what was rejected, by way and n."""
    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "edge_ad"  # the same bytes from the same record
    from matplotlib import pyplot as plt

    found = [row for rate in (None, *record["rates"]) for row in rows(record, rate)]
    sources = list(dict.fromkeys(row.source for row in found))
    figure, axes = plt.subplots(
        1, len(sources), figsize=(4.2 * len(sources), 4.5), sharey=True, layout="constrained",
        squeeze=False,
    )  # fmt: skip
    for axis, source in zip(axes[0], sources, strict=True):
        _panel(axis, source, [row for row in found if row.source == source])
    axes[0][0].set_ylabel("good images rejected, %")
    lines, labels = axes[0][0].get_legend_handles_labels()
    figure.legend(lines, labels, loc="outside lower center", ncols=4)
    figure.savefig(RESULTS / "calibration.svg", metadata={"Date": None})
    plt.close(figure)


def _panel(axis: Any, source: str, found: list[Any]) -> None:
    numbers = sorted({row.number for row in found})
    most = 100 * max(row.stated for row in found)
    axis.plot([0, most], [0, most], color="grey", linewidth=1, label="stated = rejected")
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
    axis.set(title=source, xlabel="stated rate, %")
    axis.grid(alpha=0.3)
