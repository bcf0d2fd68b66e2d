"""The section of benchmarks/README.md on `benchmarks.edge`."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.harness.markdown import refused_row, table

_HEAD = [
    "",
    "p50 / p95 ms per image",
    "times the first row's",
    "cold start",
    "peak memory",
    "image AUROC",
]


def section(record: dict[str, Any]) -> str:
    ways = record["ways"]
    first = float(np.median(ways[0]["ms"]))
    rows = []
    for way in ways:
        name = f"**{way['name']}**" if way["name"].startswith("edge_ad") else way["name"]
        if "refused" in way:
            rows.append(refused_row(name, way["refused"], len(_HEAD)))
            continue
        median, p95 = np.percentile(way["ms"], [50, 95])
        rows.append([
            name,
            f"{median:.1f} / {p95:.1f}",
            f"{median / first:.2f}",
            f"{np.median(way['cold_start_ms']) / 1e3:.2f} s",
            f"{way['peak_memory_bytes'] / 1e6:,.0f} MB",
            "" if "EfficientAD" in way["name"] else f"{way['image_auroc']:.4f}",
        ])  # fmt: skip
    banks = "; ".join(
        f"{name} {rows:,} x {width}" for name, (rows, width) in record["banks"].items()
    )
    return (
        "## EfficientNet-Lite0 beside ResNet18 and anomalib\n\n"
        f"{record['bank_images']} magnetic tiles of 224 x 224, 10% banks ({banks}), the same patches for both projects on one backbone, {len(record['test'])} test images, "
        "scored by all in turn with a pause of 50 ms before each, in float32 on all cores: from the preprocessed image to score and map. edge_ad runs in ONNX Runtime, its scores are "
        "certified to be the exact search's; anomalib is its torch model. EfficientAD-S is anomalib's, in ONNX Runtime at its own 256 px and with random "
        f"weights. The search that export chose: {'; '.join(name + ' ' + found.split(': ', 1)[1] for name, found in record['searches'].items())}.\n\n"
        + table(_HEAD, rows)
    )
