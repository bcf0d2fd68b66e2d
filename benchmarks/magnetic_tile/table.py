"""The section of benchmarks/README.md on `benchmarks.magnetic_tile`."""

from __future__ import annotations

from typing import Any

from benchmarks.harness.markdown import table

_HEAD = [
    "bank",
    "search",
    "image AUROC, reference",
    "exported",
    "largest score difference",
    "pixel AUROC",
    "PRO",
    "network / search / total",
]


def section(record: dict[str, Any]) -> str:
    rows = []
    for run in record["runs"]:
        for asked, found in run["exported"].items():
            rows.append([
                f"{run['coreset_fraction']:.0%} ({run['bank_rows']:,})",
                found["search"] if asked == "exact" else f"auto: {found['search']}",
                f"{run['reference_image_auroc']:.4f}",
                f"{found['image_auroc']:.4f}",
                f"{found['largest_relative_score_difference']:.1e}",
                f"{found['pixel_auroc']:.4f}",
                f"{found['pro']:.4f}",
                f"{found['median_ms']['network']:.0f} / {found['median_ms']['search']:.0f} / "
                f"{found['median_ms']['total']:.0f} ms",
            ])  # fmt: skip
    without = ", ".join(
        f"{run['reference_image_auroc_without_equation_7']:.4f} at {run['coreset_fraction']:.0%}"
        for run in record["runs"]
    )
    paper = record["paper"]
    return (
        "## Magnetic tile\n\n"
        "The paper's protocol: 20% of the good images (190) held out for the test with all 392 "
        f"defective ones, {record['fitted']} good ones fitted. ImageNet ResNet18, layers 2 and 3, "
        "stretched to 256 and cut to 224, equation 7 with b = 9; 38 of the fitted images set the "
        f"threshold. The paper: {paper['image_auroc']} image AUROC with {paper['backbone']} at "
        f"{paper['coreset_fraction']:.0%}. Without equation 7 the reference gives {without}.\n\n"
        + table(
            _HEAD,
            rows,
        )  # fmt: skip
    )
