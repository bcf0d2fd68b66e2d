"""The section of benchmarks/README.md on `benchmarks.peers`."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.harness.markdown import refused_row, table

_HEAD = [
    "",
    "p50 / p95 ms per image",
    "times edge_ad's",
    "cold start",
    "peak memory",
    "installed",
    "image AUROC",
    "score difference",
]


def section(record: dict[str, Any]) -> str:
    ways, fits = record["ways"], record["fit"]
    ran = [way for way in ways if "refused" not in way]
    first = _percentile(ran[0], 50)
    rows = []
    for way in ways:
        name = f"**{way['name']}**" if way["name"].startswith("edge_ad") else way["name"]
        if "refused" in way:
            rows.append(refused_row(name, way["refused"], len(_HEAD)))
            continue
        difference = way["largest_relative_score_difference"]
        asked = way["truth"] != way["name"] and difference is not None
        rows.append([
            name,
            f"{_percentile(way, 50):.0f} / {_percentile(way, 95):.0f}",
            f"{_percentile(way, 50) / first:.1f}",
            f"{np.median(way['cold_start_ms']) / 1e3:.1f} s",
            f"{way['peak_memory_bytes'] / 1e6:,.0f} MB",
            f"{way['install_bytes'] / 1e6:,.0f} MB",
            f"{way['image_auroc']:.4f}",
            f"{difference:.0e}" if asked else "",
        ])  # fmt: skip
    return (
        _about(record)
        + table(_HEAD, rows)
        + "\n\n"
        + table(
            ["fit", "features", "coreset"],
            [
                refused_row(name, fit["refused"], 3)
                if "refused" in fit
                else [name, f"{fit['features_s']:.0f} s", _coreset(fit, record["bank_rows"])]
                for name, fit in fits.items()
            ],
        )
    )


def _about(record: dict[str, Any]) -> str:
    """What everyone was given, and how the columns are to be read."""
    fits = record["fit"]
    ran = [way for way in record["ways"] if "refused" not in way]
    batches = [way["images_per_call"] for way in ran if way["images_per_call"] > 1]
    fixed = (
        f"anomalib's export to OpenVINO, as it comes, takes {batches[0]} images at once, no fewer: its time is a call's divided by "
        f"{batches[0]} (one image alone takes the whole call); the others are exported by it for one image. "
        if batches
        else ""
    )
    versions = "; ".join(
        f"{name}: " + ", ".join(f"{package} {v}" for package, v in fit["versions"].items())
        for name, fit in fits.items()
        if "versions" in fit
    )
    versions = versions and f"{versions}."
    return (
        "## Beside anomalib\n\n"
        f"{record['bank_images']} magnetic tiles of 224 x 224, ImageNet ResNet18, layers 2 and 3, the same {record['bank_rows']:,} patches in everyone's bank; "
        f"{len(record['test'])} test images, half of them defective, scored by all in turn. Times are from the preprocessed image to score and map; edge_ad's score is "
        f"certified to be the exact search's; its search is {next(iter(record['searches'].values()))}. {fixed}OpenVINO computes in bfloat16 on processors that have it unless told otherwise; edge_ad tells it. The score "
        "difference is the largest in any image: edge_ad's and anomalib's torch model's from edge_ad's slow reference, those of anomalib's exports from its torch "
        f"model; in int8 and bf16 it is what the precision costs. {versions}\n\n"
    )


def _coreset(fit: dict[str, Any], rows: int) -> str:
    if "coreset_s" in fit:
        return f"{fit['coreset_s']:.1f} s"
    seconds = fit["projection_s"] + (rows - 1) * fit["picks_s"] / (fit["picks"] - 1)
    return f"{seconds:,.0f} s, scaled from {fit['picks']} picks"


def _percentile(way: dict[str, Any], q: float) -> float:
    """Milliseconds per image."""
    return float(np.percentile(way["ms"], q)) / int(way["images_per_call"])
