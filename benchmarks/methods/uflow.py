"""U-Flow, trained to its end, beside PatchCore and PaDiM: python -m benchmarks.methods.uflow.

All three see the same good images at U-Flow's own size, 256 px, with ImageNet's ResNet18. They are
exported, evaluated as a user would, and asked for the same test images in turn. The sets are the
small real ones, magnetic tiles of which 200 good ones are fitted, and drawn plates. What is
recorded already is not measured again. Trainings leave their checkpoints in a folder and go on from
there, so that one that was interrupted is not lost. ``--epochs`` ends them earlier.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from safetensors import safe_open

from benchmarks.harness.datasets import DataSet, find_data_sets, read_data_set
from benchmarks.harness.record import (
    add_draft_option,
    add_only_option,
    check_tree,
    data_root,
    imagenet_resnet18,
    measure_missing,
)
from benchmarks.methods.measure import Found, in_turn, on_set
from edge_ad import PatchCoreConfig, fit
from edge_ad.evaluation.metrics import auroc, iou
from edge_ad.images.good import load_preprocessed
from edge_ad.methods.judge import Judge
from edge_ad.methods.padim.settings import PadimConfig
from edge_ad.methods.settings import FitSettings
from edge_ad.methods.uflow.settings import UFlowConfig
from edge_ad.networks.run import TorchRun, of_each
from edge_ad.synthetic.damage import KINDS, damage
from edge_ad.synthetic.parts import write_parts

UFLOW, PATCHCORE, PADIM = "U-Flow", "PatchCore", "PaDiM"
GENERATED = "drawn plates"

_SIZE = (256, 256)
_MOST_GOOD = 200
_LIMITS = (5.0, 4.0, 3.0, 2.5, 2.0)
_DRAWN_GOOD, _DRAWN_TEST_GOOD, _DRAWN_PER_DEFECT = 60, 30, 8


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add_only_option(parser)
    parser.add_argument("--checkpoints", type=Path, help="a folder for those of the trainings")
    parser.add_argument("--epochs", type=int, default=UFlowConfig().epochs, help="the most")
    add_draft_option(parser)
    options = parser.parse_args()
    commit = check_tree(draft=options.draft)
    with tempfile.TemporaryDirectory() as name:
        checkpoints = options.checkpoints or Path(name)
        tasks = _tasks(Path(name), checkpoints, options.epochs)
        measure_missing("methods_uflow", commit, tasks, options.only, size=_SIZE)


def _tasks(
    folder: Path, checkpoints: Path, epochs: int
) -> Iterator[tuple[str, Callable[[], Found]]]:
    """What is measured, by its key in the record."""
    sets = _data_sets(folder)
    for data in sets:
        checkpoint = checkpoints / f"{data.name}.safetensors"
        for method, config in _configs(checkpoint, epochs).items():
            artifact = folder / f"{data.name}-{method}.edgead"
            yield f"{method} | {data.name}", partial(_on_set, config, data, artifact, checkpoint)
        if len(data.good) < _MOST_GOOD:
            yield f"limit | {data.name}", partial(_by_limit, data, _uflow(checkpoint, epochs))
    checkpoint = checkpoints / f"{sets[0].name}.safetensors"
    yield f"time | {sets[0].name}", partial(in_turn, sets[0], _configs(checkpoint, epochs))


def _on_set(config: FitSettings, data: DataSet, artifact: Path, checkpoint: Path) -> Found:
    """What a method says of a set. See `on_set`."""
    if not isinstance(config, UFlowConfig):
        return on_set(config, data, artifact)
    begun_at = _training(checkpoint)["epochs"] if checkpoint.exists() else 0
    found = on_set(config, data, artifact)
    return {**found, "training": {"begun_at": begun_at, **_training(checkpoint)}}


def _data_sets(folder: Path) -> list[DataSet]:
    """The sets, the smallest first, with no more good images than are to be fitted."""
    drawn = folder / GENERATED
    write_parts(drawn, good=_DRAWN_GOOD, test_good=_DRAWN_TEST_GOOD, per_defect=_DRAWN_PER_DEFECT)
    real = [_with_fewer_good(data) for data in find_data_sets(data_root() / "data")]
    return sorted([read_data_set(drawn), *real], key=lambda data: len(data.good))


def _with_fewer_good(data: DataSet) -> DataSet:
    drawn = np.random.default_rng(0).permutation(len(data.good))[:_MOST_GOOD]
    return replace(data, good=tuple(data.good[i] for i in sorted(drawn)))


def _configs(checkpoint: Path, epochs: int) -> dict[str, FitSettings]:
    weights = imagenet_resnet18()
    return {
        PATCHCORE: PatchCoreConfig(backbone="resnet18", weights=weights, size=_SIZE),
        PADIM: PadimConfig(backbone="resnet18", weights=weights, size=_SIZE),
        UFLOW: _uflow(checkpoint, epochs),
    }


def _uflow(checkpoint: Path, epochs: int) -> UFlowConfig:
    return UFlowConfig(
        backbone="resnet18",
        weights=imagenet_resnet18(),
        size=_SIZE,
        checkpoint=str(checkpoint),
        epochs=epochs,
    )


def _by_limit(data: DataSet, config: UFlowConfig) -> Found:
    """What each limit of the latents makes of held-out good images and of damaged copies of them.

    They have no part in the fit, and no test image has a say. So the default is chosen by this.
    """
    found = {}
    for limit in _LIMITS:
        fitted = fit(data.good, replace(config, latent_limit=limit))
        network = fitted.network()
        run = TorchRun(network)
        judge = Judge(run, fitted.lower(network), config.size)
        rng = np.random.default_rng(0)
        scores, ious = [], []
        for image in (image for image in fitted.record.images if image.held_out):
            good = load_preprocessed(Path(image.path), config.preprocessing)
            for kind in KINDS:
                damaged, mask = damage(good, kind, rng)
                (outputs,) = of_each(run(damaged[np.newaxis]))
                judged = judge.head.judge(outputs, with_map=True)
                assert judged.significance is not None, "asked for"
                scores.append(judged.score)
                ious.append(iou(judged.significance > 0, mask))
        of_good = fitted.left_out_scores
        is_damaged = np.arange(len(of_good) + len(scores)) >= len(of_good)
        found[str(limit)] = {
            "held_out": len(of_good),
            "held_out_rejected": int((of_good > 0).sum()),
            "damaged": len(scores),
            "damaged_found": int((np.array(scores) > 0).sum()),
            "auroc": auroc(np.concatenate([of_good, scores]), is_damaged),
            "iou": float(np.mean(ious)),
            "price": float(fitted.kept.price[0]),
        }
    return found


def _training(checkpoint: Path) -> Found:
    """How many epochs a training took, and which of them was kept."""
    with safe_open(checkpoint, framework="np") as file:
        epochs, best, best_epoch = json.loads(file.metadata()["progress"])
    return {"epochs": epochs, "best_epoch": best_epoch, "watched_nll": best}


if __name__ == "__main__":
    main()
