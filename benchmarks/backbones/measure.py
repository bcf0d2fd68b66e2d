"""The package's backbones beside untrained and ImageNet ResNet18.

    python -m benchmarks.backbones.measure --on generated damaged real time

Choices are made on generated parts (``--on generated``), and on real good images, held out, beside
faintly damaged copies of themselves (``--on damaged``); labelled data are read to report (``--on
real``). All by the path of `fit` with a 1% coreset and the default settings: the whole image
stretched to 224 px, nothing set per data set. What is recorded already is not measured again.
``--on time`` runs the exported networks beside each other.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from benchmarks.harness.clock import in_turn_ms
from benchmarks.harness.datasets import DataSet, find_data_sets
from benchmarks.harness.generated import on_generated
from benchmarks.harness.record import (
    add_draft_option,
    check_tree,
    data_root,
    imagenet_resnet18,
    read_record,
    write_record,
)
from benchmarks.harness.refused import or_refused
from edge_ad import PatchCoreConfig, fit
from edge_ad.evaluation.metrics import auroc
from edge_ad.features.patches import build_network
from edge_ad.images.good import load_preprocessed
from edge_ad.images.labelled import TestImage
from edge_ad.methods.judge import Judge
from edge_ad.networks.run import TorchRun
from edge_ad.recipes.generated_parts import SIDE
from edge_ad.synthetic.damage import with_damage
from edge_ad_export.graph.onnx_graph import to_onnx
from edge_ad_runtime.artifact.words import EngineName, Precision
from edge_ad_runtime.engines import Graph, open_engine

_FEW_GOOD, _FOLDS = 20, 5  # good test images: with fewer, all good ones take turns
_TIMED = (
    "EfficientNet-Lite0",
    "EfficientNet-Lite2",
    "procedural",
    "scattering",
    "ResNet18, untrained",
)
_ROUNDS = 200
_ENGINES: tuple[tuple[EngineName, Precision], ...] = (
    ("onnxruntime", "fp32"),
    ("openvino", "fp32"),
    ("openvino", "bf16"),
)
_PARTS = ("explored", "generated", "damaged", "real", "time")
_FAINT = 0.3  # the share of the damage that is left
_DAMAGED_GOOD = 300  # of a set's good images at most

Test = Callable[[PatchCoreConfig], dict[str, Any]]


def candidates() -> dict[str, PatchCoreConfig]:
    base = PatchCoreConfig(coreset_fraction=0.01, holdout_fraction=0.05)
    networks = {
        "EfficientNet-Lite0": ("efficientnet_lite0", "imagenet"),
        "EfficientNet-Lite1": ("efficientnet_lite1", "imagenet"),
        "EfficientNet-Lite2": ("efficientnet_lite2", "imagenet"),
        "procedural": ("procedural", "default"),
        "scattering": ("scattering", "default"),
        "ResNet18, untrained": ("resnet18", "untrained"),
        "ResNet18, ImageNet": ("resnet18", imagenet_resnet18()),
    }
    found = {n: replace(base, backbone=b, weights=w) for n, (b, w) in networks.items()}
    for name in networks:
        if name in ("EfficientNet-Lite1", "EfficientNet-Lite2"):
            continue
        other = replace(found[name], whiten=not found[name].resolved_whiten)
        found[f"{name}, {'' if other.whiten else 'not '}whitened"] = other
    lite = found["EfficientNet-Lite0"]
    found["EfficientNet-Lite0, two taps"] = replace(lite, taps=2)
    found["EfficientNet-Lite0, three stages"] = replace(lite, layers=(1, 2, 3), stride=2)
    found["EfficientNet-Lite0, 256 px"] = replace(lite, size=(256, 256))
    found["EfficientNet-Lite0, two taps, 256 px"] = replace(lite, taps=2, size=(256, 256))
    found["EfficientNet-Lite0, whitened, 256 px"] = replace(lite, whiten=True, size=(256, 256))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--on", choices=("generated", "damaged", "real", "time"), nargs="+", required=True
    )
    parser.add_argument("--only", nargs="+", help="some of the networks, by their names here")
    add_draft_option(parser)
    options = parser.parse_args()
    commit = check_tree(draft=options.draft)
    kept = read_record("backbones")
    content = {name: kept[name] for name in _PARTS if name in kept}
    if "time" in options.on:
        content["time"] = time_exported()
        write_record("backbones", commit, content)
    for where in sorted({*options.on} - {"time"}):
        tests = _tests(where)
        for name, config in candidates().items():
            if where == "generated" and config.size != (SIDE, SIDE):
                continue
            if options.only and name not in options.only:
                continue
            found = content.setdefault(where, {}).setdefault(name, {})
            for data, test in tests.items():
                if data not in found:  # recorded one by one: they take minutes each
                    found[data] = test(config)
                    print(where, name, data, _short(found[data]), flush=True)
                    write_record("backbones", commit, content)


def time_exported() -> dict[str, dict[str, Any]]:
    """Milliseconds for one image, by network and engine; all of them in turn, many times over.

    In the place of an engine's samples: why it cannot run here.
    """
    image = np.random.default_rng(0).integers(0, 256, (1, 224, 224, 3), np.uint8)
    runs: dict[str, Callable[[NDArray[np.uint8]], object]] = {}
    samples: dict[str, dict[str, Any]] = {}
    places: dict[str, tuple[str, str]] = {}
    for name in _TIMED:
        config = candidates()[name]
        network = to_onnx(build_network(config), config.size)
        samples[name] = {}
        for engine, precision in _ENGINES:
            way = f"{engine} {precision}"
            opened = or_refused(_opened, engine, Graph(onnx=network, precision=precision))
            if "run" in opened:
                runs[f"{name}, {way}"], places[f"{name}, {way}"] = opened["run"], (name, way)
            samples[name][way] = opened
    for key, times_ms in in_turn_ms(runs, tqdm([image] * _ROUNDS, desc="time")).items():
        name, way = places[key]
        samples[name][way] = times_ms
    return samples


def _opened(engine: EngineName, graph: Graph) -> dict[str, Any]:
    return {"run": open_engine(engine, graph).run}


def _short(found: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in found.items() if key != "scores"}


GENERATED: dict[str, Test] = {
    "as fitted": on_generated,
    "drifted": partial(on_generated, seed=1, drift=0.2),
}


def _tests(where: str) -> dict[str, Test]:
    if where == "generated":
        return GENERATED
    on = on_damaged if where == "damaged" else on_real
    return {data.name: partial(on, data=data) for data in find_data_sets(data_root() / "data")}


def on_damaged(config: PatchCoreConfig, data: DataSet) -> dict[str, Any]:
    """Image AUROC of good images, held out, beside faintly damaged copies; no defect is seen.

    All good images that the set gives to fit take turns, in five folds.
    """
    order = np.random.default_rng(0).permutation(len(data.good))[:_DAMAGED_GOOD]
    aurocs = []
    for i in range(_FOLDS):
        held_out = [data.good[j] for j in order[i::_FOLDS]]
        fitted = fit([data.good[j] for j in order if data.good[j] not in held_out], config)
        network = fitted.network()
        judge = Judge(TorchRun(network), fitted.lower(network), config.size)
        original = replace(config.preprocessing, size=(SIDE, SIDE))  # the same damage at any size
        damaged = with_damage((load_preprocessed(p, original) for p in held_out), seed=i)
        scores = []
        for good, bad in zip(damaged, damaged, strict=True):
            faint = np.round(good + _FAINT * (bad.astype(np.float32) - good)).astype(np.uint8)
            scores += [judge.score(config.preprocessing.apply(image)) for image in (good, faint)]
        aurocs.append(auroc(np.array(scores), np.arange(len(scores)) % 2 == 1))
    return {"folds": _FOLDS, "images": len(order), "image_auroc": float(np.mean(aurocs))}


def on_real(config: PatchCoreConfig, data: DataSet) -> dict[str, Any]:
    """Image AUROC by the project's path, the mean over folds, and of the set's own split."""
    folds = [_fold(good, test, config) for good, test in _splits(data)]
    own = folds[0] if len(folds) == 1 else _fold(list(data.good), list(data.test), config)
    averaged = ("image_auroc", "image_auroc_without_equation_7")
    return {
        "fitted": len(data.good),
        "tested": len(data.test),
        "folds": len(folds),
        "dimension": folds[0]["dimension"],
        **{key: float(np.mean([fold[key] for fold in folds])) for key in averaged},
        "image_auroc_of_own_split": own["image_auroc"],
        "scores": [fold["scores"] for fold in folds],
    }


def _splits(data: DataSet) -> list[tuple[list[Path], list[TestImage]]]:
    """Images to fit and images to test: as the set has them; or, with few good ones to test, folds.

    Then each good image, whatever its folder, is tested in one fold and fitted in the others.
    """
    tested = [image for image in data.test if not image.is_defective]
    if len(tested) >= _FEW_GOOD:
        return [(list(data.good), list(data.test))]
    defective = [image for image in data.test if image.is_defective]
    every = [*data.good, *(image.path for image in tested)]
    order = np.random.default_rng(0).permutation(len(every))
    splits = []
    for i in range(_FOLDS):
        held_out = [every[j] for j in sorted(order[i::_FOLDS])]
        fitted = [path for path in every if path not in held_out]
        splits.append(
            (fitted, [*(TestImage(path=path, kind="good") for path in held_out), *defective])
        )
    return splits


def _fold(good: list[Path], test: list[TestImage], config: PatchCoreConfig) -> dict[str, Any]:
    fitted = fit(good, config, progress=True)
    network = fitted.network()
    judge = Judge(TorchRun(network), fitted.lower(network), config.size)
    scores, largest = [], []
    for image in tqdm(test, desc="test"):
        stages, score = judge.stages(load_preprocessed(image.path, config.preprocessing))
        scores.append(score)
        largest.append(float(stages["distances"].max()))
    is_defective = np.array([image.is_defective for image in test])
    return {
        "dimension": fitted.kept.features.shape[1],
        "image_auroc": auroc(np.array(scores), is_defective),
        "image_auroc_without_equation_7": auroc(np.array(largest), is_defective),
        "scores": scores,
    }


if __name__ == "__main__":
    main()
