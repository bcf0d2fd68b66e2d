"""The plots beside the paper's figures 4 to 6."""

from __future__ import annotations

from typing import Any

import matplotlib as mpl

from benchmarks.harness.record import RESULTS
from benchmarks.paper.rows import Row

METRICS = ("image_auroc", "pixel_auroc", "pro")
Runs = dict[str, dict[str, Any]]
"""By table, row and data set: ``"Figure 4 | p = 3 | magnetic-tile"``."""


def plot(name: str, groups: list[list[Row]], runs: Runs, data: list[str]) -> None:
    """One panel per figure of merit; a line per data set and group of rows."""
    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "edge_ad"  # the same bytes from the same record
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, 3, figsize=(13, 4), layout="constrained")
    colours = plt.rcParams["axes.prop_cycle"].by_key()["color"]
    labels = list(dict.fromkeys(row.label.split(",")[0] for own in groups for row in own))
    for axis, metric in zip(axes, METRICS, strict=True):
        for colour, dataset in zip(colours, data, strict=False):
            for own in groups:
                points = [
                    (labels.index(row.label.split(",")[0]), 100 * run[metric])
                    for row in own
                    if (run := runs.get(f"{row.table} | {row.label} | {dataset}"))
                ]
                if points:
                    axis.plot(*zip(*points, strict=True), "o-", color=colour)
            axis.plot([], [], "o-", color=colour, label=dataset)
        axis.set_title(metric.replace("_", " "))
        axis.set_xticks(range(len(labels)), labels, rotation=60)
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("percent")
    axes[0].legend()
    figure.savefig(RESULTS / f"paper_{name}.svg", metadata={"Date": None})
    plt.close(figure)
