"""The section of benchmarks/README.md on `benchmarks.settings`."""

from __future__ import annotations

from typing import Any

from benchmarks.harness.markdown import table

_WAYS = {"by_good_images": "good images alone", "by_labels": "labelled images"}


def section(record: dict[str, Any]) -> str:
    found = record["found"]
    names = [key.split(" | ")[0] for key in found if key.endswith("| grid")]
    rows = []
    for name in names:
        suggested, grid = found[f"{name} | suggested"], found[f"{name} | grid"]
        best, worst = max(grid.values()), min(grid.values())
        for way, words in _WAYS.items():
            of_suggested = grid[suggested[way]]
            rows.append(
                [
                    name,
                    words,
                    f"`{suggested[way]}`",
                    f"{of_suggested:.3f}",
                    f"{best:.3f}",
                    f"{worst:.3f}",
                    f"{best - of_suggested:.3f}",
                ]
            )
    number = max(len(found[f"{name} | grid"]) for name in names)
    return (
        "## Settings that are suggested\n\n"
        f"What `edge-ad suggest` proposes, beside a whole fit of each of the {number} settings that it may propose: image AUROC of the test images. "
        "*best* and *worst* are of that grid. Labels that choose are those that are evaluated on, for the grid's best as for the suggested. "
        "Boards have defects of 6 to 14 px in 640 px; screws lie in all directions.\n\n"
        + table(
            ["part", "chosen by", "suggested", "its AUROC", "best", "worst", "below best"], rows
        )
    )
