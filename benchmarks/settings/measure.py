"""`edge-ad suggest` against a grid of whole fits: python -m benchmarks.settings.measure.

On drawn boards, drawn screws, drawn plates and the reduced MVTec AD categories. Of each set the
settings are suggested by good images alone and by labels, with its defaults. Then all settings
that it may suggest are fitted whole, with the coreset fraction that it gives them, and evaluated
on the test images. What is recorded is how far the suggested ones are below the best of that grid,
in image AUROC. Labels that choose are those that are evaluated on, for the grid's best as for the
suggested.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness.clock import seconds
from benchmarks.harness.record import (
    add_draft_option,
    add_only_option,
    check_tree,
    data_root,
    imagenet_resnet18,
    measure_missing,
)
from benchmarks.settings.drawn import DRAWN, write_set
from edge_ad import PatchCoreConfig, fit
from edge_ad.evaluation.metrics import auroc
from edge_ad.images.good import list_images, load_preprocessed
from edge_ad.images.labelled import TestImage, list_test_images
from edge_ad.methods.judge import Judge
from edge_ad.networks.run import TorchRun
from edge_ad.suggesting.settings import SuggestSettings
from edge_ad.suggesting.suggest import suggest

_RECORD = "settings"
NAMES = (*DRAWN, "hazelnut_reduced", "transistor_reduced")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add_only_option(parser)
    add_draft_option(parser)
    options = parser.parse_args()
    commit = check_tree(draft=options.draft)
    with tempfile.TemporaryDirectory() as scratch:
        tasks = [
            (f"{name} | {part}", partial(_measured, measured, name, Path(scratch)))
            for name in NAMES
            for part, measured in (("suggested", suggested), ("grid", grid))
        ]
        measure_missing(_RECORD, commit, tasks, options.only)


def suggested(good: list[Path], test: list[TestImage]) -> dict[str, Any]:
    """The settings that are suggested by good images alone, and by labels."""
    asked = SuggestSettings(weights=imagenet_resnet18())
    seconds_s, by_labels = seconds(lambda: suggest(good, test, asked))
    by_good = suggest(good, (), asked)
    return {
        "by_good_images": _key(by_good.config),
        "by_labels": _key(by_labels.config),
        "held_apart_auroc": by_labels.held_apart_auroc,
        "seconds": seconds_s,
    }


def grid(good: list[Path], test: list[TestImage]) -> dict[str, float]:
    """The image AUROC of a whole fit with each setting that may be suggested."""
    asked = SuggestSettings(weights=imagenet_resnet18())
    ranked = suggest(good, (), asked).ranked  # which gives each its coreset fraction
    return {_key(each.trial.config): whole_fit(each.trial.config, good, test) for each in ranked}


def _measured(
    measured: Callable[[list[Path], list[TestImage]], Any], name: str, scratch: Path
) -> Any:
    folder = _folder(name, scratch)
    return measured(list_images(folder / "train/good"), list_test_images(folder))


def whole_fit(config: PatchCoreConfig, good: list[Path], test: list[TestImage]) -> float:
    """The image AUROC of a fit as the suggested command makes it."""
    fitted = fit(good, config)
    network = fitted.network()
    judge = Judge(TorchRun(network), fitted.lower(network), config.size)
    scores = judge.scores(load_preprocessed(i.path, config.preprocessing) for i in test)
    return auroc(np.array(list(scores)), np.array([image.is_defective for image in test]))


def _key(config: PatchCoreConfig) -> str:
    layers = ",".join(map(str, config.layers))
    return f"{config.backbone} {config.size[0]}x{config.size[1]} layers {layers}"


def _folder(name: str, scratch: Path) -> Path:
    if name not in DRAWN:
        return data_root() / "data/mvtec-mini" / name
    if not (scratch / name).exists():
        write_set(name, scratch / name)
    return scratch / name


if __name__ == "__main__":
    main()
