"""The plot of search times against errors, beside the section of benchmarks/README.md."""

from __future__ import annotations

from typing import Any

import matplotlib as mpl

from benchmarks.harness.record import RESULTS

_MARKERS = {"edge_ad": "*", "hnswlib": "o", "usearch": "s", "voyager": "^"}


def plot(record: dict[str, Any]) -> None:
    """Time per image against the map's error, a panel per bank."""
    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "edge_ad"  # the same bytes from the same record
    from matplotlib import pyplot as plt

    runs = record["runs"]
    figure, axes = plt.subplots(2, -(-len(runs) // 2), figsize=(15, 8), layout="constrained")
    for axis, run in zip(axes.flat, runs, strict=False):
        _panel(axis, run)
    for axis in list(axes.flat)[len(runs) :]:
        axis.remove()
    figure.savefig(RESULTS / "search.svg", metadata={"Date": None})
    plt.close(figure)


def _panel(axis: Any, run: dict[str, Any]) -> None:
    """One bank: its sweep in grey, and each method where it lies."""
    for point in run.get("sweep", []):
        axis.plot(point["ms"], max(point["map_error_mean"], 1e-6), ".", color="#cccccc", zorder=0)
    for name, found in run["methods"].items():
        family = name.split(" ")[0]
        if found["map_error_mean"] == 0 and family not in _MARKERS:
            axis.axvline(percentile_ms(found, 50), linestyle=":", color="#888888")
            axis.text(percentile_ms(found, 50), 2e-6, name, rotation=90, fontsize=7)
            continue
        own = (
            {"color": "#cc3311", "markersize": 14} if family == "edge_ad" else {"color": "#4477aa"}
        )
        axis.plot(
            percentile_ms(found, 50), max(found["map_error_mean"], 1e-6), _MARKERS[family], **own
        )
        axis.annotate(
            name, (percentile_ms(found, 50), max(found["map_error_mean"], 1e-6)), fontsize=6
        )
    axis.set(
        xscale="log",
        yscale="log",
        title=f"{run['rows']:,} x {run['width']:,}",
        xlabel="ms per image",
        ylabel="map error",
    )


def percentile_ms(found: dict[str, Any], q: float) -> float:
    """Of what a method took per image; ``q`` in percent."""
    values = sorted(found["ms"])
    return float(values[min(len(values) - 1, int(len(values) * q / 100))])
