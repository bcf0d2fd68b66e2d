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
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness.record import (
    add_draft_option,
    check_tree,
    data_root,
    imagenet_resnet18,
    read_record,
    write_record,
)
from benchmarks.settings.drawn import DRAWN, write_set
from edge_ad import PatchCoreConfig, fit
from edge_ad.evaluation.metrics import auroc
from edge_ad.images.good import list_images, load_preprocessed
from edge_ad.images.labelled import TestImage, list_test_images
from edge_ad.methods.judge import Judge
from edge_ad.networks.run import TorchRun
from edge_ad.suggesting.settings import SuggestSettings
from edge_ad.suggesting.suggest import Suggestion, suggest

_RECORD = "settings"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", nargs="+", help="some of the sets, by their names")
    add_draft_option(parser)
    options = parser.parse_args()
    commit = check_tree(draft=options.draft)
    content = {key: value for key, value in read_record(_RECORD).items() if key in _names()}
    with tempfile.TemporaryDirectory() as scratch:
        for name in options.only or _names():
            if name not in content:  # recorded one by one: each takes long
                content[name] = measure(_folder(name, Path(scratch)))
                print(name, {k: v for k, v in content[name].items() if k != "grid"}, flush=True)
                write_record(_RECORD, commit, content)


def measure(folder: Path) -> dict[str, Any]:
    """The grid's AUROCs, and how far the suggested settings are below the best."""
    good, test = list_images(folder / "train/good"), list_test_images(folder)
    asked = SuggestSettings(weights=imagenet_resnet18())
    by_good, by_labels = suggest(good, (), asked), suggest(good, test, asked)
    grid = {_key(each.trial.config): each.trial.config for each in by_labels.ranked}
    aurocs = {key: whole_fit(config, good, test) for key, config in grid.items()}
    best = max(aurocs.values())
    return {
        "grid": aurocs,
        "best": best,
        "by_good_images": _figures(by_good, aurocs, best),
        "by_labels": _figures(by_labels, aurocs, best),
    }


def whole_fit(config: PatchCoreConfig, good: list[Path], test: list[TestImage]) -> float:
    """The image AUROC of a fit as the suggested command makes it."""
    fitted = fit(good, config)
    network = fitted.network()
    judge = Judge(TorchRun(network), fitted.lower(network), config.size)
    scores = judge.scores(load_preprocessed(i.path, config.preprocessing) for i in test)
    return auroc(np.array(list(scores)), np.array([image.is_defective for image in test]))


def _figures(found: Suggestion, aurocs: dict[str, float], best: float) -> dict[str, Any]:
    key = _key(found.config)
    return {
        "suggested": key,
        "auroc": aurocs[key],
        "below_best": best - aurocs[key],
        "held_apart_auroc": found.held_apart_auroc,
    }


def _key(config: PatchCoreConfig) -> str:
    layers = ",".join(map(str, config.layers))
    return f"{config.backbone} {config.size[0]}x{config.size[1]} layers {layers}"


def _names() -> list[str]:
    return [*DRAWN, "hazelnut_reduced", "transistor_reduced"]


def _folder(name: str, scratch: Path) -> Path:
    if name not in DRAWN:
        return data_root() / "data/mvtec-mini" / name
    write_set(name, scratch / name)
    return scratch / name


if __name__ == "__main__":
    main()
