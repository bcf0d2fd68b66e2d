"""The section of benchmarks/README.md on `benchmarks.int8`."""

from __future__ import annotations

from statistics import median
from typing import Any

import numpy as np

from benchmarks.harness.markdown import refused_row, table


def section(record: dict[str, Any]) -> str:
    runs = record["runs"]
    plain = next(iter(runs.values()))
    head = [
        "",
        "network, ms",
        "times as fast as float32",
        "error of scores, mean / worst",
        "image AUROC",
    ]
    rows = []
    for name, run in runs.items():
        if "refused" in run:
            rows.append(refused_row(name, run["refused"], len(head)))
            continue
        times_ms = run.get("network_ms")
        ratios = zip(plain["network_ms"], times_ms, strict=True) if times_ms else ()
        rows.append([
            name,
            f"{median(times_ms):.1f}" if times_ms else "",
            f"{median(slow / fast for slow, fast in ratios):.1f}" if times_ms else "",
            f"{run['score_error_mean']:.1%} / {run['score_error_worst']:.1%}",
            f"{run['image_auroc']:.3f}",
        ])  # fmt: skip
    return (
        "## int8 by processor\n\n"
        f"Magnetic tile, ImageNet ResNet18, a bank of {record['bank_rows']:,} patches (1%), learned anew through each network; {record['images']} test "
        "images, half of them defective; the networks' times in alternation, the ratio image by image. Errors and AUROC are beside float32 in ONNX "
        "Runtime: an AUROC of so few images has a standard error of about 0.03. `--target any` has weights of 7 bits, the other targets of 8. "
        + _saturated(record)
        + "A processor with VNNI was not measured with 7-bit weights yet; the sections on engines and on anomalib are of before there were any.\n\n"
        + table(head, rows)
    )


def _saturated(record: dict[str, Any]) -> str:
    runs = record["runs"]
    pair = [runs[name] for name in record["in_exact_arithmetic"]]
    if not pair or any("refused" in run for run in pair):
        return ""
    there, here = (np.array(run["scores"]) for run in pair)
    away = np.abs(here / there - 1)
    return (
        "This processor has no VNNI and cuts sums of 8-bit products off. Exact arithmetic is what an 8-bit network gives on processors that do not. One "
        f"learned there and run here has scores {away.mean():.2%} off on average and {away.max():.1%} in the worst image; with 7 bits there is nothing to "
        "cut off. "
    )
