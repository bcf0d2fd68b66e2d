"""The section of benchmarks/README.md on `benchmarks.waits`."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.harness.markdown import table


def section(record: dict[str, Any]) -> str:
    commands_s = {name: np.median(taken) for name, taken in record["commands_s"].items()}
    per_image_ms = {
        kind: {way: np.median(taken) for way, taken in ways.items()}
        for kind, ways in record["per_image_ms"].items()
    }
    return (
        "## What a person waits for\n\n"
        f"Each command as it is typed, its imports with it, for {record['images']} magnetic tiles (ResNet18, 224 px, "
        "10% of the patches are 25,088 rows): seconds, the median of "
        f"{len(record['commands_s']['fit'])}. `stream` and `predict` in turn, in milliseconds an image.\n\n"
        + table(list(commands_s), [[f"{taken:.1f} s" for taken in commands_s.values()]])
        + "\n\n"
        + table(
            ["", "`predict`", "`stream`", "ratio"],
            [
                [
                    kind,
                    f"{ways['predict']:.1f}",
                    f"{ways['stream']:.1f}",
                    f"{ways['stream'] / ways['predict']:.2f}",
                ]
                for kind, ways in per_image_ms.items()
            ],
        )
    )
