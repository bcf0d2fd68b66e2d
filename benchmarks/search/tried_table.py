"""The section of benchmarks/README.md on `benchmarks.search.tried`."""

from __future__ import annotations

from statistics import median
from typing import Any

from benchmarks.harness.markdown import table


def section(record: dict[str, Any]) -> str:
    lines = [
        [
            name,
            f"{median(about['ms']):.1f}",
            f"{about['map_error_mean']:.1e}" if "map_error_mean" in about else "",
        ]
        for name, about in record["ways"].items()
    ]
    return (
        "### Tried, and left out\n\n"
        f"On {record['rows']:,} x {record['width']} rows. *Layer-wise*: the deeper map's inner products with the bank computed on its "
        "own coarse grid and enlarged like it: exact, and half the multiplications, but reading and writing every "
        "product several times more costs more than they do. *Warm start*: one patch in four asks the index, the others begin with what "
        "those around have found: twice as fast, and a map far off, since neighbouring patches look alike but are not "
        "nearest to the same rows. What is kept of the idea: after all have asked, each tries what those around have found. "
        "*usearch* over the same codes instead of hnswlib, no certificate after it: about as fast at the same error, in 8-bit "
        "codes too. It would save a compiler and some memory, not time; hnswlib stays. (*index* is what there is.)\n\n"
        + table(["", "ms per image", "map error"], lines)
    )
