"""Energies by space, trainer, score and seed: python -m benchmarks.methods.energy.

Each is fitted once on a set, with ImageNet's ResNet18 where it is of features, and then exported
with each of its scores and evaluated as a user would. The sets are the real ones and drawn plates.
What is recorded already is not measured again. Nothing here has chosen a default: see
`benchmarks.methods.energy_choice`.
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

from benchmarks.harness.clock import seconds
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
from edge_ad.methods.energy.settings import ScoreName
from edge_ad.synthetic.parts import write_parts
from edge_ad_export import ExportConfig, export
from edge_ad_runtime import Detector

SCORES: tuple[ScoreName, ...] = get_args(ScoreName)
GENERATED = "drawn plates"
SEEDS = (0, 1, 2)

_DRAWN_GOOD, _DRAWN_TEST_GOOD, _DRAWN_PER_DEFECT = 60, 30, 8
_PIXELS_SIZE = (128, 128)
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


if __name__ == "__main__":
    main()
