"""Run the attacks and write their record: python -m benchmarks.robustness.measure.

Exit code 1 if there was any fault; each is printed with what runs it again.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.harness.record import add_draft_option, check_tree, write_record
from benchmarks.robustness import artifacts, images, writes
from benchmarks.robustness.soak import soak
from benchmarks.robustness.trial import Outcome, Worker
from benchmarks.robustness.write_commands import TINY
from edge_ad import PatchCoreConfig, fit
from edge_ad.synthetic.parts import write_parts
from edge_ad_export import ExportConfig, export

PARTS = ("artifacts", "images", "soak", "writes")

_EVERY_S = 20.0
_LINE_LIMIT_S = 60.0


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--mutations", type=int, default=10_000, help="of an artifact")
    parser.add_argument("--images", type=int, default=12_160, help="damaged; half as many hostile")
    parser.add_argument("--frames", type=int, default=5_000, help="for edge-ad watch")
    parser.add_argument("--kills", type=int, default=300, help="at steps; a third at any moment")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--start", type=int, default=0, help="number of the first trial")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--no-record", action="store_true", help="print only")
    add_draft_option(parser)
    options = parser.parse_args()
    commit = "" if options.no_record else check_tree(draft=options.draft)
    run: dict[str, Callable[[argparse.Namespace], dict[str, Any]]] = {
        "artifacts": _artifacts,
        "images": _images,
        "soak": _soak,
        "writes": _writes,
    }
    found = {part: run[part](options) for part in PARTS if part in options.only}
    faults = [fault for part in found.values() for fault in part["faults"]]
    if not options.no_record:
        write_record("robustness", commit, {"seed": options.seed, **found})
    for fault in faults:
        print(fault)
    raise SystemExit(1 if faults else 0)


def counted(
    worker: Worker, numbers: Sequence[int], sound: Sequence[str], name: str
) -> dict[str, Any]:
    """Run trials, with progress; their outcomes counted, and those that are not sound in full.

    Returns:
        ``counts`` by what was attacked and what came of it; ``faults`` with the trial's number.
    """
    counts: Counter[tuple[str, str]] = Counter()
    faults: list[dict[str, Any]] = []
    start = told = time.monotonic()
    try:
        for number in numbers:
            outcome: Outcome = worker.run(number)
            counts[outcome.what, outcome.kind] += 1
            if outcome.kind not in sound:
                faults.append({"part": name, "number": number, **vars(outcome)})
                print(f"{name} {number}: {outcome.kind}: {outcome.detail}", flush=True)
            if time.monotonic() > told + _EVERY_S:
                told = time.monotonic()
                print(f"{name}: {counts.total():,} of {len(numbers):,}", flush=True)
    finally:
        worker.close()
    by_what: dict[str, dict[str, int]] = {}
    for (what, kind), count in sorted(counts.items()):
        by_what.setdefault(what, {})[kind] = count
        print(f"{name}: {what or '-':<40} {kind:<40} {count:>6,}")
    return {
        "trials": len(numbers),
        "seconds": time.monotonic() - start,
        "counts": by_what,
        "faults": faults,
    }


def _numbers(options: argparse.Namespace, count: int) -> range:
    return range(options.start, options.start + count)


def _artifacts(options: argparse.Namespace) -> dict[str, Any]:
    numbers = _numbers(options, options.mutations)
    worker = artifacts.worker(TINY, options.seed)
    return counted(worker, numbers, artifacts.OUTCOMES, "artifacts")


def _images(options: argparse.Namespace) -> dict[str, Any]:
    counts = {"damaged": options.images, "structure": options.images // 2, "no plain file": 9}
    found: dict[str, Any] = {"faults": []}
    with tempfile.TemporaryDirectory() as name:
        artifact = better_artifact(Path(name))
        for kind in images.KINDS:
            worker = images.worker(artifact, options.seed, kind)
            numbers = _numbers(options, counts[kind])
            part = counted(worker, numbers, images.OUTCOMES, f"images, {kind}")
            found["faults"] += part.pop("faults")
            found[kind] = part
    return found


def better_artifact(folder: Path) -> Path:
    """A detector of drawn parts with the default backbone."""
    write_parts(folder / "parts", good=60, test_good=0, per_defect=0, seed=3)
    fitted = fit(folder / "parts/train/good", PatchCoreConfig(coreset_fraction=0.02))
    return export(fitted, folder / "plate.edgead", ExportConfig(reference_images=1)).path


def _soak(options: argparse.Namespace) -> dict[str, Any]:
    start = time.monotonic()
    done = Counter[str]()

    def tick() -> None:
        done["frames"] += 1
        if done["frames"] % 500 == 0:
            print(f"soak: {done['frames']:,} of {options.frames:,} frames", flush=True)

    with tempfile.TemporaryDirectory() as name:
        found = soak(
            TINY,
            Path(name),
            frames=options.frames,
            seed=options.seed,
            limit_s=_LINE_LIMIT_S,
            tick=tick,
        )
    print(f"soak: {found['frames']:,} frames, {found['lines']:,} lines", *found["faults"], sep="\n")
    return {"seconds": time.monotonic() - start, **found}


def _writes(options: argparse.Namespace) -> dict[str, Any]:
    found: dict[str, Any] = {"faults": []}
    for kind in writes.KINDS:
        count = options.kills if kind == "steps" else options.kills // 3
        worker = writes.worker([kind], options.seed)
        numbers = _numbers(options, count)
        part = counted(worker, numbers, writes.OUTCOMES, f"writes, {kind}")
        found["faults"] += part.pop("faults")
        found[kind] = part
    return found


if __name__ == "__main__":
    main()
