"""The plot of what the a-contrario test finds, beside the section of benchmarks/README.md."""

from __future__ import annotations

from typing import Any

import matplotlib as mpl

from benchmarks.harness.record import RESULTS

_LINES = {"by-size": ("-", "o"), "paper": ("--", "s")}


def plot(record: dict[str, Any]) -> None:
    """The share of planted squares that are found, by their side. A panel per grid."""
    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "edge_ad"  # the same bytes from the same record
    from matplotlib import pyplot as plt

    panels = [
        (network, scale)
        for network in record["networks"]
        for scale in range(len(network["channels"]))
    ]
    figure, axes = plt.subplots(
        1, len(panels), figsize=(4 * len(panels), 4.5), sharey=True, layout="constrained"
    )
    for axis, (network, scale) in zip(axes, panels, strict=True):
        _panel(axis, network, scale)
    axes[0].set_ylabel("share of the planted squares that are found")
    lines, labels = axes[0].get_legend_handles_labels()
    figure.legend(lines, labels, loc="outside lower center", ncols=len(labels) // 2)
    figure.savefig(RESULTS / "a_contrario.svg", metadata={"Date": None})
    plt.close(figure)


def _panel(axis: Any, network: dict[str, Any], scale: int) -> None:
    """One grid: a colour per standard deviation, a kind of line per counting."""
    points = [point for point in network["power"] if point["scale"] == scale]
    for i, std in enumerate(dict.fromkeys(point["std"] for point in points)):
        own = [point for point in points if point["std"] == std]
        for counting, (line, marker) in _LINES.items():
            axis.plot(
                [point["side"] for point in own],
                [point[counting] for point in own],
                linestyle=line,
                marker=marker,
                markersize=4,
                color=f"C{i}",
                label=f"standard deviation {std:g}, {counting}",
            )
    rows, cols = network["grids"][scale]
    axis.set(
        xscale="log",
        title=f"{network['name']}:\n{network['channels'][scale]} channels, {rows} x {cols}",
        xlabel="side of the square, in positions",
    )
    sides = sorted({point["side"] for point in points})
    axis.set_xticks(sides, [str(side) for side in sides])
    axis.minorticks_off()
    axis.grid(alpha=0.3)
