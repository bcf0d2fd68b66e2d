"""The section of benchmarks/README.md on `benchmarks.settings`."""

from __future__ import annotations

from typing import Any

from benchmarks.harness.markdown import table

_PARTS = ("boards", "screws", "plates", "hazelnut_reduced", "transistor_reduced")
_WAYS = {"by_good_images": "good images alone", "by_labels": "labelled images"}


def section(record: dict[str, Any]) -> str:
    found = {name: record[name] for name in _PARTS if name in record}
    rows = [
        [
            name if first else "",
            _WAYS[way],
            f"`{of[way]['suggested']}`",
            f"{of[way]['auroc']:.3f}",
            f"{of['best']:.3f}" if first else "",
            f"{min(of['grid'].values()):.3f}" if first else "",
            f"{of[way]['below_best']:.3f}",
        ]
        for name, of in found.items()
        for first, way in zip((True, False), _WAYS, strict=True)
    ]
    trials = sorted({len(of["grid"]) for of in found.values()})
    return (
        "## Settings that are suggested\n\n"
        f"What `edge-ad suggest` proposes, beside a whole fit of each of the {' or '.join(map(str, trials))} settings that it may propose: image AUROC of the test images. "
        "*best* and *worst* are of that grid. Labels that choose are those that are evaluated on, for the grid's best as for the suggested. "
        "Boards have defects of 6 to 14 px in 640 px; screws lie in all directions.\n\n"
        + table(
            ["part", "chosen by", "suggested", "its AUROC", "best", "worst", "below best"], rows
        )
    )
