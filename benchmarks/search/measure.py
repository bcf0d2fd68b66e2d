"""Nearest-neighbour search per image, on real features: python -m benchmarks.search.measure.

Banks are greedy coresets of magnetic-tile features (ImageNet ResNet18, layers 2 and 3: 384 wide;
the same at neighbourhoods of 1, 3, 5 and 7 side by side: 1,536 wide). Per bank, all methods answer
the same images in turn: the plain matrix product in numpy, our exact search, our index with the
settings that `export` would choose (on held-out good images and damaged copies of them), and, where
installed, faiss, hnswlib, usearch and voyager as they come. Every distance is computed again here,
in float64, from the row that a method returns. Then every knob of our index is swept on two banks.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.harness.clock import in_turn_ms
from benchmarks.harness.datasets import read_data_set
from benchmarks.harness.record import (
    add_draft_option,
    check_tree,
    data_root,
    read_record,
    write_record,
)
from benchmarks.search.features import FITTED, GRID, Extractor, FloatArray
from benchmarks.search.libraries import Find
from benchmarks.search.methods import distances, methods
from benchmarks.search.sweep import sweep
from edge_ad.features.coreset import greedy_coreset
from edge_ad_export import ExportConfig

BANKS = {384: (1_000, 2_500, 25_088, 100_000, 200_000), 1_536: (16_000,)}
HELD_OUT, TESTED = 8, 16
SWEPT = ((25_088, 384), (16_000, 1_536))
SWEEP_IMAGES = 8


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--widths", type=int, nargs="+", default=list(BANKS))
    parser.add_argument("--rows", type=int, nargs="+", help="only these banks")
    add_draft_option(parser)
    options = parser.parse_args()
    commit = check_tree(draft=options.draft)
    runs = _kept(options.widths, options.rows)
    for width in options.widths:
        extractor = Extractor(width)
        data = read_data_set(data_root() / "data/magnetic-tile")
        order = np.random.default_rng(0).permutation(len(data.test))[:TESTED]
        test = [extractor.of(data.test[i].path) for i in order]
        held_out = list(extractor.held_out(data.good[-HELD_OUT:]))
        patches = np.concatenate([extractor.of(path) for path in data.good[: FITTED[width]]])
        sizes = [n for n in BANKS[width] if not options.rows or n in options.rows]
        if not sizes:
            continue
        chosen = greedy_coreset(patches, max(sizes), progress=True)
        for rows in sizes:
            bank = patches[chosen[:rows]]
            runs.append(measure(bank, held_out, test))
            if (rows, width) in SWEPT:
                runs[-1]["sweep"] = sweep(bank, test[:SWEEP_IMAGES])
            runs.sort(key=lambda run: (run["width"], run["rows"]))
            content = {"grid": GRID, "images": TESTED, "runs": runs}
            write_record("search", commit, content)


def _kept(widths: list[int], rows: list[int] | None) -> list[dict[str, Any]]:
    """Runs of the record there is that are not measured again."""
    if not rows:
        return []
    runs: list[dict[str, Any]] = read_record("search").get("runs", [])
    return [run for run in runs if run["width"] not in widths or run["rows"] not in rows]


def measure(bank: FloatArray, held_out: list[FloatArray], test: list[FloatArray]) -> dict[str, Any]:
    result: dict[str, Any] = {
        "rows": len(bank),
        "width": bank.shape[1],
        "map_tolerance": ExportConfig().map_tolerance,
        "methods": {},
    }
    with tempfile.TemporaryDirectory() as folder:
        finders = methods(bank, held_out, Path(folder), result["methods"])
        found: dict[str, list[NDArray[np.int64]]] = {name: [] for name in finders}
        kept = {name: _keeping(find, found[name]) for name, find in finders.items()}
        for name, times_ms in in_turn_ms(kept, test).items():
            result["methods"][name]["ms"] = times_ms
    true = [distances(p, bank, rows) for p, rows in zip(test, found["exact"], strict=True)]
    for name, rows in found.items():
        own = [distances(p, bank, r) for p, r in zip(test, rows, strict=True)]
        errors = [float((d - t).mean() / t.mean()) for d, t in zip(own, true, strict=True)]
        scores = [abs(d.max() / t.max() - 1) for d, t in zip(own, true, strict=True)]
        result["methods"][name] |= {
            "map_error_mean": float(np.mean(errors)),
            "map_error_worst_image": max(errors),
            "score_error_worst_image": float(max(scores)),
        }
        print(len(bank), bank.shape[1], name, _short(result["methods"][name]), flush=True)
    return result


def _keeping(find: Find, found: list[NDArray[np.int64]]) -> Callable[[FloatArray], None]:
    """The same, its answers kept."""
    return lambda queries: found.append(find(queries))


def _short(about: dict[str, Any]) -> str:
    p50, p95 = np.percentile(about["ms"], [50, 95])
    return (
        f"p50 {p50:.1f} p95 {p95:.1f} ms, map error {about['map_error_mean']:.1e}, "
        f"score error {about['score_error_worst_image']:.1e}, {about['bytes'] / 1e6:.0f} MB"
    )


if __name__ == "__main__":
    main()
