"""The section of benchmarks/README.md on `benchmarks.mvtec_mini`."""

from __future__ import annotations

from typing import Any

from benchmarks.harness.markdown import table


def section(record: dict[str, Any]) -> str:
    rows = [
        [
            category["category"],
            f"{category['image_auroc']:.3f}",
            f"{category['pixel_auroc']:.3f}",
            f"{category['pro']:.3f}",
            f"{category['detected']} of {category['detected'] + category['missed']}",
            f"{category['false_rejects']} of {category['false_rejects'] + category['true_goods']}",
        ]
        for category in record["categories"]
    ]
    return (
        "## MVTec AD, two categories, reduced\n\n"
        "50 good images fitted, 2 good and 8 defective ones tested: a check that the path works, not "
        "a ranking. ImageNet ResNet18, 10% coreset, 256 cut to 224.\n\n"
        + table(
            ["category", "image AUROC", "pixel AUROC", "PRO", "defects found", "good rejected"],
            rows,
        )
    )
