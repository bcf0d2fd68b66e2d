"""The default backbone beside untrained and ImageNet ResNet18: python -m benchmarks.backbones.

Choices are made on generated parts (``--on generated``); real data are read to report (``--on
real``). Both by the path of `fit` with a 1% coreset and the default settings: the whole image
stretched to 224 px, nothing set per data set.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from benchmarks.datasets import DataSet, find_data_sets
from benchmarks.generated_parts import KINDS, Category, draw_category
from benchmarks.record import RESULTS, data_root, imagenet_resnet18, write_record
from edge_ad import PatchCoreConfig, fit
from edge_ad.bank import BankScorer, build_bank
from edge_ad.features import (
    PatchFeatures,
    build_network,
    extract,
    load_preprocessed,
    restore_network,
)
from edge_ad.metrics import auroc
from edge_ad.whitening import learn_whitening

SETS = {"as fitted": (0, 0.0), "drifted": (1, 0.2)}  # seed, and drift of the test images' exposure
_BATCH = 8


def candidates() -> dict[str, PatchCoreConfig]:
    base = PatchCoreConfig(coreset_fraction=0.01, holdout_fraction=0.05)
    weights = {
        "default (scattering)": "default",
        "ResNet18, untrained": "untrained",
        "ResNet18, ImageNet": imagenet_resnet18(),
    }
    found = {name: replace(base, weights=path) for name, path in weights.items()}
    for name, path in weights.items():
        other = replace(base, weights=path, whiten=not found[name].resolved_whiten)
        found[f"{name}, {'' if other.whiten else 'not '}whitened"] = other
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--on", choices=("generated", "real"), nargs="+", required=True)
    options = parser.parse_args()
    path = RESULTS / "backbones.json"
    kept = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    content = {name: kept[name] for name in ("explored", "generated", "real") if name in kept}
    for where in options.on:
        content[where] = {}
        for name, config in candidates().items():  # recorded one by one: they take minutes each
            content[where][name] = on_generated(config) if where == "generated" else on_real(config)
            write_record("backbones", content)


def on_generated(config: PatchCoreConfig) -> dict[str, Any]:
    """Image AUROC by category, on both sets."""
    result = {}
    for name, (seed, drift) in SETS.items():
        by_category = {
            kind: _scored(draw_category(kind, seed, drift=drift), config) for kind in KINDS
        }
        result[name] = {"mean": float(np.mean(list(by_category.values()))), **by_category}
        print(config.resolved_backbone, config.resolved_whiten, name, result[name], flush=True)
    return result


def _scored(category: Category, config: PatchCoreConfig) -> float:
    network = build_network(config)
    if config.resolved_whiten:
        features = _features(network, category.good)
        network.whitening = learn_whitening(features.reshape(-1, features.shape[-1]))
    patches = _features(network, category.good)
    bank = build_bank(patches.reshape(-1, patches.shape[-1]), config)
    scorer = BankScorer(bank, config.scoring)
    scores = [scorer.score(extract(network, image[np.newaxis]))[1] for image in category.test]
    return auroc(np.array(scores), category.is_defective)


def _features(network: PatchFeatures, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    starts = range(0, len(images), _BATCH)
    return np.concatenate([extract(network, images[i : i + _BATCH]) for i in starts])


def on_real(config: PatchCoreConfig) -> dict[str, Any]:
    """Every real data set that is there."""
    return {data.name: _tested(data, config) for data in find_data_sets(data_root() / "data")}


def _tested(data: DataSet, config: PatchCoreConfig) -> dict[str, Any]:
    """Image AUROC by the project's path, with equation 7 and without."""
    fitted = fit(data.good, config, progress=True)
    run = partial(extract, restore_network(config, fitted.backbone))
    scorer = BankScorer(fitted.bank, config.scoring)
    scores, largest, times_ms = [], [], []
    for image in tqdm(data.test, desc=data.name):
        pixels = load_preprocessed(image.path, config.preprocessing)[np.newaxis]
        start = time.perf_counter()
        features = run(pixels)
        times_ms.append((time.perf_counter() - start) * 1e3)
        distances, score = scorer.score(features)
        scores.append(score)
        largest.append(float(distances.max()))
    is_defective = np.array([image.is_defective for image in data.test])
    result = {
        "fitted": len(data.good),
        "tested": len(data.test),
        "dimension": fitted.record.dimension,
        "image_auroc": auroc(np.array(scores), is_defective),
        "image_auroc_without_equation_7": auroc(np.array(largest), is_defective),
        "torch_ms": float(np.median(times_ms)),
    }
    print(data.name, config.resolved_backbone, config.resolved_whiten, result, flush=True)
    return {**result, "scores": scores}


if __name__ == "__main__":
    main()
