"""Energies by space, trainer, score and seed: python -m benchmarks.methods.energy.

Each energy is fitted once on a set, with ImageNet's ResNet18 where it is of features. It is then
exported with each of its scores and evaluated as a user would. The sets are the real ones and drawn
plates. What is recorded already is not measured again. Nothing here has chosen a default: see
`benchmarks.methods.energy_choice`.

What the gradient costs is a record of its own: the exported graph of energy and gradient beside
that of the energy alone, and that of what comes before it (a backbone, or nothing much). ``--only
cost`` measures it alone.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, get_args

import numpy as np
from torch import Tensor, nn

from benchmarks.harness.clock import in_turn_ms, seconds
from benchmarks.harness.datasets import DataSet, find_data_sets, read_data_set
from benchmarks.harness.record import (
    add_draft_option,
    add_only_option,
    check_tree,
    data_root,
    imagenet_resnet18,
    measure_missing,
)
from edge_ad import EnergyConfig, FittedDetector, fit
from edge_ad.evaluation.evaluate import evaluate
from edge_ad.methods.energy.network import EnergyNetwork, build_network
from edge_ad.methods.energy.settings import ScoreName
from edge_ad.synthetic.parts import write_parts
from edge_ad_export import ExportConfig, export
from edge_ad_export.graph.onnx_graph import to_onnx
from edge_ad_runtime import Detector
from edge_ad_runtime.engines import Graph, open_engine

SCORES: tuple[ScoreName, ...] = get_args(ScoreName)
SPACES: tuple[str, ...] = ("features", "pixels")
GENERATED = "drawn plates"
SEEDS = (0, 1, 2)

_DRAWN_GOOD, _DRAWN_TEST_GOOD, _DRAWN_PER_DEFECT = 60, 30, 8
_PIXELS_SIZE = (128, 128)
_ROUNDS = 200
# by default sampling takes hours of a CPU
_SHORT: dict[str, Any] = {"trainer": "cd", "langevin_steps": 5, "epochs": 6}

Found = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add_only_option(parser)
    add_draft_option(parser)
    options = parser.parse_args()
    commit = check_tree(draft=options.draft)
    with tempfile.TemporaryDirectory() as name:
        tasks = _tasks(Path(name))
        measure_missing("methods_energy", commit, tasks, options.only, under="runs")
        costs = [
            (f"cost | {space}", partial(_cost, configs()[f"{space}, dsm"])) for space in SPACES
        ]
        measure_missing("methods_energy_cost", commit, costs, options.only)


def configs() -> dict[str, EnergyConfig]:
    """The energies that are compared, by their names."""
    features = EnergyConfig(backbone="resnet18", weights=imagenet_resnet18())
    pixels = EnergyConfig(space="pixels", size=_PIXELS_SIZE)
    return {
        "features, dsm": features,
        "pixels, dsm": pixels,
        "features, short cd": replace(features, size=(128, 128), **_SHORT),
        "pixels, short cd": replace(pixels, **_SHORT),
    }


def _tasks(folder: Path) -> Iterator[tuple[str, Callable[[], Found]]]:
    drawn = folder / GENERATED
    write_parts(drawn, good=_DRAWN_GOOD, test_good=_DRAWN_TEST_GOOD, per_defect=_DRAWN_PER_DEFECT)
    sets = [*find_data_sets(data_root() / "data"), read_data_set(drawn)]
    for name, config in configs().items():
        for seed in SEEDS:
            for data in sorted(sets, key=lambda data: len(data.test)):
                seeded = replace(config, seed=seed)
                yield f"{name} | {seed} | {data.name}", partial(_measured, seeded, data)


def _costs() -> Iterator[tuple[str, Callable[[], Found]]]:
    for space in SPACES:
        yield f"cost | {space}", partial(_cost, configs()[f"{space}, dsm"])


def _measured(config: EnergyConfig, data: DataSet) -> Found:
    of_processors_s = time.process_time()
    fit_s, fitted = seconds(lambda: fit(data.good, config, progress=True))
    of_processors_s = time.process_time() - of_processors_s
    scores = {score: _evaluated(fitted, score, data) for score in SCORES}
    return {
        "fit_s": round(fit_s, 1),
        "fit_processor_s": round(of_processors_s, 1),
        "scores": scores,
    }


def _evaluated(fitted: FittedDetector, score: ScoreName, data: DataSet) -> Found:
    """What the score says of the test images. The threshold has no part in these figures."""
    config = fitted.config
    assert isinstance(config, EnergyConfig), "this is what was fitted"
    named = replace(fitted, config=replace(config, score=score))
    with tempfile.TemporaryDirectory() as name:
        report = export(
            named, Path(name) / "part.edgead", ExportConfig(reference_images=1, threshold=1.0)
        )
        size_bytes = sum(p.stat().st_size for p in report.path.rglob("*") if p.is_file())
        with Detector.load(report.path) as detector:
            found = evaluate(detector, data.test)
    return {
        "images_tested": found.images,
        "size_bytes": size_bytes,
        "image_auroc": found.image_auroc,
        "pixel_auroc": found.pixel_auroc,
        "pro": found.pro,
    }


class _Part(nn.Module):
    """Images to the values, or to the energy alone, of a network that gives the gradient too."""

    def __init__(self, network: EnergyNetwork, *, with_energy: bool) -> None:
        super().__init__()
        self._network, self._with_energy = network, with_energy

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        network = self._network
        x = (network.values(image) - network.level) / network.spread
        return {"part": network.energy(x) if self._with_energy else x}


def _cost(config: EnergyConfig) -> Found:
    """Milliseconds of an image in ONNX Runtime, of three graphs in turn."""
    network = build_network(config)
    parts = {
        "values": _Part(network, with_energy=False),
        "energy": _Part(network, with_energy=True),
        "energy and gradient": network,
    }
    ways = {
        name: open_engine("onnxruntime", Graph(onnx=to_onnx(part, config.size))).run
        for name, part in parts.items()
    }
    image = np.random.default_rng(0).integers(0, 256, (1, *config.size, 3), np.uint8)
    in_turn_ms(ways, [image] * 10)
    return {"size": config.size, "ms": in_turn_ms(ways, [image] * _ROUNDS)}


if __name__ == "__main__":
    main()
