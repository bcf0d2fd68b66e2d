"""edge_ad beside anomalib (and patchcore-inspection): the same images, weights, layers, bank.

Everyone gets magnetic tiles, preprocessed by us, ImageNet ResNet18's layers 2 and 3, and the
patches that our coreset has chosen. Each way to score an image (a library with a model file) is a
process in an environment of its own, on as many threads as it chooses; all are asked for the same
image in turn. The cold start is a process's first score, from the start of the interpreter.

The others' own coresets take hours at this size: their first picks are timed, and scaled, as each
pick costs the same.

The environments are made anew in the temporary folder (TMPDIR), at the versions of constraints.txt.
torch comes with them: without PyTorch's CPU index (PIP_EXTRA_INDEX_URL) that is GBs of CUDA.

What cannot be installed or cannot run on this machine is a row that says why; the others go on.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness.clock import seconds
from benchmarks.harness.datasets import draw, read_data_set
from benchmarks.harness.record import (
    add_draft_option,
    check_tree,
    data_root,
    imagenet_resnet18,
    write_record,
)
from benchmarks.peers.environments import (
    ENVIRONMENTS,
    INSPECTION,
    Environment,
    add_options,
    environments,
    size_bytes,
)
from benchmarks.peers.in_turn import judge, measure
from benchmarks.peers.process import PeerError
from benchmarks.peers.ways import Way, anomalib_ways, inspection_way, our_ways
from edge_ad import FittedDetector, PatchCoreConfig, ReferenceDetector, fit
from edge_ad.features.coreset import greedy_coreset
from edge_ad.features.store import features_of
from edge_ad.images.good import GoodImages, load_preprocessed
from edge_ad.networks.run import TorchRun

HELD_OUT = 16  # one image for the threshold to so many in the bank


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_options(parser)
    parser.add_argument("--picks", type=int, default=100, help="of the others' coresets, to time")
    parser.add_argument("--inspection", type=Path, help="checkout of patchcore-inspection")
    add_draft_option(parser)
    options = parser.parse_args()
    commit = check_tree(draft=options.draft)
    with tempfile.TemporaryDirectory() as name:
        record = compare(options, Path(name))
    write_record("peers", commit, record)


def compare(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    names = [name for name in ENVIRONMENTS if name != INSPECTION or options.inspection]
    made = environments(names, options, folder / "environments")
    data = read_data_set(data_root() / "data/magnetic-tile")
    config = PatchCoreConfig(weights=imagenet_resnet18())
    fitted, our_fit = fit_edge_ad(data.good, options.images, folder, config)
    test = draw(data.test, options.test_images)
    images = [load_preprocessed(image.path, fitted.config.preprocessing) for image in test]
    np.save(folder / "test.npy", images)
    ways, searches = our_ways(fitted, folder)
    fits, their_ways = _theirs(options, made, folder)

    measured = measure([*ways, *their_ways], made, folder, len(test))
    reference = ReferenceDetector(fitted)
    reference_scores = [float(reference.trace(image)["score"]) for image in images]
    judge(measured, reference_scores, np.array([image.is_defective for image in test]))
    for row in measured:
        if "refused" in row:
            print(row["name"], "cannot run:", row["refused"], flush=True)
            continue
        row["install_bytes"] = size_bytes(made[row["environment"]].python)
        print(row["name"], np.median(row["ms"]), row["image_auroc"], flush=True)
    return {
        "bank_images": options.images,
        "bank_rows": len(fitted.kept.features),
        "test": [[image.path.name, image.kind] for image in test],
        "fit": {"edge_ad": our_fit, **fits},
        "searches": searches,
        "reference_scores": reference_scores,
        "ways": measured,
    }


def _theirs(
    options: argparse.Namespace, made: dict[str, Environment], folder: Path
) -> tuple[dict[str, Any], list[Way]]:
    """The others' fits by name, and the ways to score with them."""
    common = (str(folder), imagenet_resnet18(), str(options.picks))
    fits = {"anomalib": prepare(made["anomalib"], folder, "anomalib", "prepare", *common)}
    ways = anomalib_ways(folder, fits["anomalib"])
    if options.inspection:
        checkout = str(options.inspection.resolve())
        fit_there = prepare(made[INSPECTION], folder, "inspection", "prepare", checkout, *common)
        fits[INSPECTION] = fit_there
        ways.append(inspection_way(checkout, folder, imagenet_resnet18(), fit_there))
    return fits, ways


def fit_edge_ad(
    good: Sequence[Path], count: int, folder: Path, config: PatchCoreConfig
) -> tuple[FittedDetector, dict[str, float]]:
    """Fit ``count`` images and some more, which set the threshold.

    The former go to ``good.npy``, the numbers of the chosen patches to ``rows.npy``. Features and
    coreset are part of ``fit_s``, and timed again by themselves.
    """
    config = replace(config, holdout_fraction=1 / (HELD_OUT + 1))
    fit_s, fitted = seconds(lambda: fit(good[: count + count // HELD_OUT], config))
    in_bank = [Path(i.path) for i in fitted.record.images if not i.held_out]
    run = TorchRun(fitted.network())
    features_s, features = seconds(
        lambda: features_of(run, GoodImages(in_bank, config.preprocessing), progress=False)
    )
    bank, patches = fitted.kept.features, features.reshape(-1, features.shape[-1])
    coreset_s, rows = seconds(lambda: greedy_coreset(patches, len(bank), seed=config.seed))
    assert np.allclose(patches[rows], bank, atol=1e-4), "the same choice twice"
    np.save(folder / "good.npy", [load_preprocessed(p, config.preprocessing) for p in in_bank])
    np.save(folder / "rows.npy", rows)
    return fitted, {"fit_s": fit_s, "features_s": features_s, "coreset_s": coreset_s}


def prepare(environment: Environment, folder: Path, *command: str) -> dict[str, Any]:
    """Another library times its fit and writes its model, with our choice of patches."""
    try:
        result: dict[str, Any] = json.loads(environment.start(folder, *command).result())
    except PeerError as exc:
        return {"refused": str(exc)}
    return result


if __name__ == "__main__":
    main()
