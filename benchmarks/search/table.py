"""The sections on search of benchmarks/README.md."""

from __future__ import annotations

from statistics import median
from typing import Any

import matplotlib as mpl

from benchmarks.markdown import table
from benchmarks.record import RESULTS


def search_section(record: dict[str, Any]) -> str:
    lines = []
    for run in record["runs"]:
        methods = run["methods"]
        plain, exact = (_percentile(methods[name], 50) for name in ("numpy", "exact"))
        for name, found in methods.items():
            settings = found.get("settings")
            lines.append([
                f"{run['rows']:,} x {run['width']:,}" if name == "numpy" else "",
                f"**{name}**" if settings else name,
                f"{_percentile(found, 50):.1f} / {_percentile(found, 95):.1f}",
                f"{plain / _percentile(found, 50):.1f} / {exact / _percentile(found, 50):.1f}",
                f"{found['map_error_mean']:.1e}",
                f"{found['score_error_worst_image']:.1e}",
                f"{found['bytes'] / run['rows']:,.0f}",
            ])  # fmt: skip
    _plot_search(record)
    chosen = "; ".join(
        f"{run['rows']:,} x {run['width']:,}: {s['code_dimension']} dimensions, ef {s['ef_search']}, "
        f"{s['candidates']} candidates, {s['rounds']} rounds"
        for run in record["runs"]
        if (s := run["methods"]["edge_ad"]["settings"])
    )
    return (
        "## Search\n\n"
        f"{record['images']} magnetic-tile images of 784 patches, good and defective; banks are greedy coresets of real features. "
        "All methods answer the same images in turn. *numpy* is the plain matrix product with all distances held (most of its time goes into fresh memory); *exact* is "
        "ours, block by block; **edge_ad** is the index with the settings that `export` chooses by itself on held-out good "
        "images and damaged copies of them, its largest distance certified; the others are libraries as they come, on the same "
        "rows, distances recomputed by the benchmark. The map's error is the mean error of patch distances relative to their "
        "mean; the score's is that of the largest distance, in the worst image. Bytes per bank row include the float32 rows "
        f"that distances are measured against (usearch f16 has none).\n\nChosen: {chosen}.\n\n"
        + table(
            [
                "bank",
                "search",
                "p50 / p95 ms",
                "times as fast as numpy / as exact",
                "map error",
                "worst score error",
                "bytes per row",
            ],
            lines,
        )
        + "\n\n![Time against error of the map](results/search.svg)\n\n"
        + "\n\n".join(_frontier(run) for run in record["runs"] if "sweep" in run)
    )


def _frontier(run: dict[str, Any]) -> str:
    """The smallest index at each error, and the fastest, among all settings swept."""
    flat = 4 * run["width"]
    lines = []
    for limit in (1e-2, 5e-3, 2e-3, 1e-3, 5e-4):
        within = [point for point in run["sweep"] if point["map_error_mean"] <= limit]
        if not within:
            continue
        for what, best in (
            ("smallest", min(within, key=lambda p: (p["index_bytes_per_row"], p["ms"]))),
            ("fastest", min(within, key=lambda p: p["ms"])),
        ):
            size = best["index_bytes_per_row"]
            lines.append([
                f"{limit:.1%}" if what == "smallest" else "", what,
                f"{best['code_dimension']} dimensions, {best['links']} links, ef {best['ef_search']}, "
                f"{best['candidates']} candidates, {best['rounds']} rounds",
                f"{best['ms']:.1f}", f"{size:.0f}",
                f"{(size + flat) / flat:.0%} / {(size + flat / 2) / flat:.0%}",
            ])  # fmt: skip
    return (
        f"All {len(run['sweep'])} settings on {run['rows']:,} x {run['width']:,}: what each map error costs.\n\n"
        + table(
            [
                "map error",
                "",
                "settings",
                "ms",
                "index bytes per row",
                "of the flat bank, rows in float32 / float16",
            ],
            lines,
        )
    )


def _plot_search(record: dict[str, Any]) -> None:
    """Time per image against the map's error, a panel per bank."""
    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "edge_ad"  # the same bytes from the same record
    from matplotlib import pyplot as plt

    runs = record["runs"]
    figure, axes = plt.subplots(2, -(-len(runs) // 2), figsize=(15, 8), layout="constrained")
    markers = {"edge_ad": "*", "hnswlib": "o", "usearch": "s", "voyager": "^"}
    for axis, run in zip(axes.flat, runs, strict=False):
        for point in run.get("sweep", []):
            axis.plot(
                point["ms"], max(point["map_error_mean"], 1e-6), ".", color="#cccccc", zorder=0
            )
        for name, found in run["methods"].items():
            family = name.split(" ")[0]
            if found["map_error_mean"] == 0 and family not in markers:
                axis.axvline(_percentile(found, 50), linestyle=":", color="#888888")
                axis.text(_percentile(found, 50), 2e-6, name, rotation=90, fontsize=7)
                continue
            own = (
                {"color": "#cc3311", "markersize": 14}
                if family == "edge_ad"
                else {"color": "#4477aa"}
            )
            axis.plot(
                _percentile(found, 50), max(found["map_error_mean"], 1e-6), markers[family], **own
            )
            axis.annotate(
                name, (_percentile(found, 50), max(found["map_error_mean"], 1e-6)), fontsize=6
            )
        axis.set(
            xscale="log",
            yscale="log",
            title=f"{run['rows']:,} x {run['width']:,}",
            xlabel="ms per image",
            ylabel="map error",
        )
    for axis in list(axes.flat)[len(runs) :]:
        axis.remove()
    figure.savefig(RESULTS / "search.svg", metadata={"Date": None})
    plt.close(figure)


def _percentile(found: dict[str, Any], q: float) -> float:
    values = sorted(found["ms"])
    return float(values[min(len(values) - 1, int(len(values) * q / 100))])


def tried_section(record: dict[str, Any]) -> str:
    lines = [
        [
            name,
            f"{median(about['ms']):.1f}",
            f"{about['map_error_mean']:.1e}" if "map_error_mean" in about else "",
        ]
        for name, about in record["ways"].items()
    ]
    return (
        "### Tried, and left out\n\n"
        f"On {record['rows']:,} x {record['width']} rows. *Layer-wise*: the deeper map's inner products with the bank computed on its "
        "own coarse grid and enlarged like it: exact, and half the multiplications, but reading and writing every "
        "product several times more costs more than they do. *Warm start*: one patch in four asks the index, the others begin with what "
        "those around have found: twice as fast, and a map far off, since neighbouring patches look alike but are not "
        "nearest to the same rows. What is kept of the idea: after all have asked, each tries what those around have found. "
        "*usearch* over the same codes instead of hnswlib, no certificate after it: about as fast at the same error, in 8-bit "
        "codes too. It would save a compiler and some memory, not time; hnswlib stays. (*index* is what there is.)\n\n"
        + table(["", "ms per image", "map error"], lines)
    )
