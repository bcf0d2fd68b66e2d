"""Realised false-reject rates of random draws: python -m benchmarks.calibration.measure.

For each draw n good images are taken at random, and 100 others to test, and 120 defective ones. By
``leave-one-out`` all n are in the bank and set the threshold. By ``split`` a fifth of them sets it.
The bank and the scores are those of the product (`build_bank`, `scores_by_others`), with its
default 10% greedy coreset, on features that `benchmarks.calibration.sources` has projected.

A run that was interrupted goes on: what is recorded is not measured again.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.calibration.sources import DEFECTIVE, SOURCES, Source, config, read_source
from benchmarks.harness.record import add_draft_option, check_tree, read_record, write_record
from edge_ad.evaluation.metrics import auroc
from edge_ad.methods.patchcore.bank import build_bank
from edge_ad.methods.patchcore.left_out import leave_one_out, scores_by_others
from edge_ad_runtime.artifact.calibration_scores import CalibrationScores, smallest_rate
from edge_ad_runtime.device.machine import machine

NUMBERS = (5, 10, 20, 50, 100, 300)
RATES = (0.01, 0.025, 0.05, 0.1)
TESTED = 100
_AT_ONCE = 10  # draws between two writings of the record


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--draws", type=int, default=200)
    parser.add_argument("--numbers", type=int, nargs="+", default=list(NUMBERS))
    parser.add_argument("--sources", nargs="+", choices=SOURCES, default=list(SOURCES))
    parser.add_argument("--cache", type=Path, required=True, help="a folder for the features")
    add_draft_option(parser)
    options = parser.parse_args()
    commit = check_tree(draft=options.draft)
    before = read_record("calibration")
    runs: dict[str, list[dict[str, Any]]] = before.get("runs", {})
    origins: dict[str, Any] = before.get("origins", {})  # of the last draws
    sources = {name: read_source(name, options.cache) for name in options.sources}
    for until in range(_AT_ONCE, options.draws + _AT_ONCE, _AT_ONCE):
        for name, source in sources.items():
            for number in options.numbers:
                if number + TESTED > len(source.good):
                    continue
                found = runs.setdefault(f"{name}, {number}", [])
                if len(found) >= min(until, options.draws):
                    continue
                while len(found) < min(until, options.draws):
                    found.append(one_draw(source, number, seed=len(found)))
                origins[f"{name}, {number}"] = {"commit": commit, **machine()}
                content = {
                    "origins": origins,
                    "tested": TESTED,
                    "defective": DEFECTIVE,
                    "rates": RATES,
                    "runs": runs,
                }
                write_record("calibration", commit, content)


def one_draw(source: Source, number: int, *, seed: int) -> dict[str, Any]:
    """What both ways make of one draw of ``number`` good images."""
    order = np.random.default_rng([seed, number]).permutation(len(source.good))
    drawn, tested = source.good[order[:number]], source.good[order[number : number + TESTED]]
    held_out = round(config().holdout_fraction * number)
    return {
        "leave-one-out": _measured(drawn, drawn[:0], tested, source.defective),
        "split": _measured(drawn[held_out:], drawn[:held_out], tested, source.defective),
    }


def _measured(
    learned: NDArray[np.float32],
    held_out: NDArray[np.float32],
    good: NDArray[np.float32],
    defective: NDArray[np.float32],
) -> dict[str, Any]:
    """Good images rejected and defects found by rate, and the image AUROC."""
    settings = config()
    bank, _ = build_bank(learned, settings)
    parts = np.arange(len(learned))
    assert bank.images is not None, "a greedy coreset has them"
    others = np.concatenate([held_out, good, defective])
    unseen = scores_by_others(others, bank, np.full(len(others), -1), parts[bank.images], settings)
    of_held_out, of_good, of_defective = np.split(
        unseen, np.cumsum([len(held_out), len(good)]).tolist()
    )
    known = of_held_out if len(held_out) else leave_one_out(learned, bank, parts, settings)
    assert known is not None, "the banks are large enough"
    scores = CalibrationScores.of(known)
    smallest = smallest_rate(scores.images)
    thresholds = [
        scores.score_at(scores.rank_at_rate(max(rate, smallest))) for rate in (0.0, *RATES)
    ]
    return {
        "scores": scores.images,
        "rejected": [int((of_good > threshold).sum()) for threshold in thresholds],
        "found": [int((of_defective > threshold).sum()) for threshold in thresholds],
        "auroc": round(
            auroc(
                np.concatenate([of_good, of_defective]),
                np.arange(len(good) + len(defective)) >= len(good),
            ),
            5,
        ),
    }


if __name__ == "__main__":
    main()
