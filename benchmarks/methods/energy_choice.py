"""What an energy's defaults are to be chosen by: python -m benchmarks.methods.energy_choice.

Each candidate learns from good images, of which a dozen are held out. These, and copies of them
with each kind of synthetic damage, are scored. The good images are those of three kinds of
generated parts, and the training images of the real sets. No test image of a real set is looked
at. What is recorded already is not measured again.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.harness.clock import seconds
from benchmarks.harness.datasets import find_data_sets
from benchmarks.harness.record import (
    add_draft_option,
    add_only_option,
    check_tree,
    data_root,
    imagenet_resnet18,
    measure_missing,
)
from benchmarks.methods.energy import SCORES
from edge_ad import EnergyConfig
from edge_ad.evaluation.metrics import auroc
from edge_ad.images.good import GoodImages, load_preprocessed
from edge_ad.methods.energy.method import METHOD
from edge_ad.methods.judge import Judge
from edge_ad.networks.run import TorchRun
from edge_ad.recipes.generated_parts import draw_category
from edge_ad.synthetic.damage import KINDS, damage

_GENERATED = ("cast", "woven", "printed")
_HELD_OUT = 12
_MOST_LEARNED = 108  # of a real set, so that a candidate takes minutes

Found = dict[str, Any]
Images = NDArray[np.uint8]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add_only_option(parser)
    add_draft_option(parser)
    options = parser.parse_args()
    commit = check_tree(draft=options.draft)
    measure_missing("methods_energy_choice", commit, _tasks(), options.only, under="runs")


def candidates() -> dict[str, EnergyConfig]:
    """What is compared, by name: the space, the layer, the range of noise, and the trainer."""
    features = EnergyConfig(backbone="resnet18", weights=imagenet_resnet18(), epochs=12)
    pixels = EnergyConfig(space="pixels", size=(128, 128), epochs=6)
    return {
        "features, layer 2, noise 0.1-1": replace(features, least_noise=0.1),
        "features, layer 2, noise 0.3-1": replace(features, least_noise=0.3),
        "features, layer 2, noise 0.1-0.3": replace(features, least_noise=0.1, most_noise=0.3),
        "features, layer 1, noise 0.1-1": replace(features, layers=(1,), least_noise=0.1),
        "features, layer 3, noise 0.1-1": replace(features, layers=(3,), least_noise=0.1),
        "pixels, noise 0.1-1": replace(pixels, least_noise=0.1),
        "pixels, noise 0.3-1": replace(pixels, least_noise=0.3),
        "pixels, noise 0.1-0.3": replace(pixels, least_noise=0.1, most_noise=0.3),
    }


def _tasks() -> Iterator[tuple[str, Callable[[], Found]]]:
    """What is measured, by its key in the record."""
    for name, config in candidates().items():
        for data, good in _good_images(config):
            yield f"{name} | {data}", partial(_measured, config, good)


def _good_images(config: EnergyConfig) -> Iterator[tuple[str, Callable[[], Images]]]:
    """What gives the good images of each set, by its name."""
    for kind in _GENERATED:
        yield kind, partial(_drawn, kind, config)
    for data in find_data_sets(data_root() / "data"):
        order = np.random.default_rng(0).permutation(len(data.good))[: _MOST_LEARNED + _HELD_OUT]
        yield data.name, partial(_read, [data.good[i] for i in order], config)


def _drawn(kind: str, config: EnergyConfig) -> Images:
    height, width = config.size
    good = draw_category(kind, seed=0).good
    return np.stack(
        [
            np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
            for image in good
        ]
    )


def _read(paths: Sequence[Path], config: EnergyConfig) -> Images:
    return np.stack([load_preprocessed(path, config.preprocessing) for path in paths])


def _measured(config: EnergyConfig, read: Callable[[], Images]) -> Found:
    good = read()
    rng = np.random.default_rng(0)
    order = rng.permutation(len(good))
    held_out, learned = good[order[:_HELD_OUT]], good[order[_HELD_OUT:]]
    copies = [damage(image, kind, rng) for image in held_out for kind in KINDS]
    damaged, masks = (np.stack(each) for each in zip(*copies, strict=True))
    images = GoodImages.in_memory(learned, config.preprocessing)
    fit_s, network = seconds(lambda: METHOD.train(images, config, progress=True))
    run = TorchRun(network)
    kept = METHOD.gather(run, images, config, progress=False).kept
    is_damaged = np.r_[np.zeros(len(held_out), bool), np.ones(len(damaged), bool)]
    scores = {}
    for score in SCORES:
        judge = Judge(run, METHOD.lower(network, kept, replace(config, score=score)), config.size)
        values = np.array(list(judge.scores((*held_out, *damaged))))
        scores[score] = auroc(values, is_damaged)
    maps = np.stack([_map(judge, image) for image in damaged])
    return {
        "train_s": round(fit_s, 1),
        "image_auroc": scores,
        "pixel_auroc": auroc(maps.ravel(), masks.ravel()),
    }


def _map(judge: Judge, image: Images) -> NDArray[np.float32]:
    values, _ = judge.stages(image)
    return np.asarray(judge.head.replay("map", values), np.float32)


if __name__ == "__main__":
    main()
