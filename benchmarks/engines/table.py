"""The section of benchmarks/README.md on `benchmarks.engines`."""

from __future__ import annotations

from statistics import median
from typing import Any

from benchmarks.harness.markdown import refused_row, table

_HEAD = [
    "",
    "network",
    "times as fast as the float32 network",
    "all else (search)",
    "total",
    "image AUROC (against float32)",
    "loss of scores",
    "cold start",
    "peak memory",
]


def section(record: dict[str, Any]) -> str:
    runs = record["runs"]
    plain = runs["onnxruntime fp32"]
    network = median(plain["samples_ms"]["network"])
    lines = []
    for name, run in runs.items():
        if "refused" in run:
            lines.append(refused_row(name, run["refused"], len(_HEAD)))
            continue
        samples = run["samples_ms"]
        pairs = zip(samples["total"], samples["network"], strict=True)
        rest = median(total - own for total, own in pairs)
        loss = run["loss"]
        lines.append([
            name,
            f"{median(samples['network']):.1f}",
            f"{network / median(samples['network']):.1f}",
            f"{rest:.1f} ({median(samples['search']):.1f})",
            f"{median(samples['total']):.1f}",
            f"{run['image_auroc']:.4f} ({run['image_auroc'] - plain['image_auroc']:+.4f})",
            f"{loss['score_mean']:.1%} / {loss['score_worst']:.1%}" if loss else "",
            f"{run['cold_start_ms'] / 1e3:.2f} s",
            f"{run['peak_memory_bytes'] / 1e6:.0f} MB",
        ])  # fmt: skip
    return (
        "## Engines and precisions\n\n"
        f"Magnetic tile at 224 px, ImageNet ResNet18, a bank of {record['bank_rows']:,} patches (10% of 320 images), certified score and "
        f"map; {len(plain['samples_ms']['total'])} images in alternation, medians in ms; image AUROC on {record['images']} test images. The loss "
        "of scores is what the export measured on held-out good images and damaged copies, mean and worst. Cold start: from the start of "
        "a process to its first score.\n\n" + table(_HEAD, lines)
    )
