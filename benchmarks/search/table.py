"""The section of benchmarks/README.md on `benchmarks.search`."""

from __future__ import annotations

from typing import Any

from benchmarks.harness.markdown import table
from benchmarks.search.plot import percentile_ms, plot

_HEAD = [
    "bank",
    "search",
    "p50 / p95 ms",
    "times as fast as numpy / as exact",
    "map error",
    "worst score error",
    "bytes per row",
]


def section(record: dict[str, Any]) -> str:
    lines = []
    for run in record["runs"]:
        methods = run["methods"]
        plain, exact = (percentile_ms(methods[name], 50) for name in ("numpy", "exact"))
        for name, found in methods.items():
            settings = found.get("settings")
            lines.append([
                f"{run['rows']:,} x {run['width']:,}" if name == "numpy" else "",
                f"**{name}**" if settings else name,
                f"{percentile_ms(found, 50):.1f} / {percentile_ms(found, 95):.1f}",
                f"{plain / percentile_ms(found, 50):.1f} / {exact / percentile_ms(found, 50):.1f}",
                f"{found['map_error_mean']:.1e}",
                f"{found['score_error_worst_image']:.1e}",
                f"{found['bytes'] / run['rows']:,.0f}",
            ])  # fmt: skip
    plot(record)
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
            _HEAD,
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
