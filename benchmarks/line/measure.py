"""Try what the line promises, and write the record: python -m benchmarks.line.measure.

Exit code 1 if a promise was broken; each is printed.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.harness.record import (
    add_draft_option,
    add_only_option,
    check_tree,
    measure_missing,
)
from benchmarks.line.full_disk import full_disk
from benchmarks.line.health import health
from benchmarks.line.kills import kills
from benchmarks.line.outage import outage
from benchmarks.line.soak import soak
from benchmarks.line.swaps import swaps
from benchmarks.line.unplugs import unplugs


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_only_option(parser)
    add_draft_option(parser)
    options = parser.parse_args()
    commit = check_tree(draft=options.draft)

    def in_folder(measured: Callable[[Path], dict[str, Any]]) -> Callable[[], dict[str, Any]]:
        def run() -> dict[str, Any]:
            with tempfile.TemporaryDirectory() as folder:
                return measured(Path(folder))

        return run

    tasks: list[tuple[str, Callable[[], dict[str, Any]]]] = [
        ("health", partial(health, count=5000)),
        ("kills", in_folder(partial(kills, count=50, rate=10, longest_s=3.0, seed=0))),
        ("unplugs", partial(unplugs, cycles=100, rate=30)),
        ("full_disk", in_folder(partial(full_disk, results=200))),
        ("swaps", in_folder(partial(swaps, count=200, rate=10))),
        ("soak", in_folder(partial(soak, count=20_000, every=500))),
        ("outage", in_folder(partial(outage, seconds=600, rate=5))),
    ]
    found = measure_missing("line", commit, tasks, options.only, again=True)
    faults = [f"{key}: {fault}" for key, value in found.items() for fault in value["faults"]]
    for fault in faults:
        print(fault)
    raise SystemExit(1 if faults else 0)


if __name__ == "__main__":
    main()
