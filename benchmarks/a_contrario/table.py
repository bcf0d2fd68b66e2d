"""The section of benchmarks/README.md on `benchmarks.a_contrario.measure`."""

from __future__ import annotations

from typing import Any

from benchmarks.a_contrario.plot import plot
from benchmarks.harness.markdown import table


def section(record: dict[str, Any]) -> str:
    plot(record)
    return (
        "## U-Flow's test on noise\n\n"
        f"Levels as of independent standard normal latents, {record['images']:,} images of noise for each network. The test states how many false alarms to expect in an image; "
        "the table has how many there were, in the mean. *by-size* (the default) and *paper* are the two ways to count the regions that are tested, on the same levels.\n\n"
        + _noise(record["networks"])
        + "\n\n"
        f"How much of what is there is found at the threshold of one false alarm: squares whose latents have a larger standard deviation than noise, {record['trials']} of each kind. "
        "What is smaller and weaker is found where a region pays for the regions of its own size. As published, a region pays for those of the largest size, which a small one cannot.\n\n"
        "![Share of planted squares that are found](results/a_contrario.svg)"
    )


def _noise(networks: list[dict[str, Any]]) -> str:
    first = next(iter(networks[0]["noise"].values()))
    stated = list(first["false_alarms_per_image"])
    lines = [
        [
            f"{network['name']}, {counting}",
            *(f"{found['false_alarms_per_image'][each]:g}" for each in stated),
            f"{found['largest_score']:.2f}",
        ]
        for network in networks
        for counting, found in network["noise"].items()
    ]
    head = ["false alarms stated", *(f"{float(each):g}" for each in stated), "largest score"]
    return table(head, lines)
