"""Every method on the same images: python -m benchmarks.methods.measure --on real moved generated.

Each is fitted with its default settings on ImageNet ResNet18 and EfficientNet-Lite0, exported, and
evaluated as a user would: image and pixel AUROC, PRO, IoU, and the size of the artifact. ``real``
has the sets as they are, ``moved`` has them shifted and turned by lot, and ``generated`` has drawn
parts. ``time`` has the time of the fit, and that of one image: all methods score the same ones in
turn. What is recorded already is not measured again.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.harness.clock import in_turn_ms, seconds
from benchmarks.harness.datasets import DataSet, find_data_sets
from benchmarks.harness.generated import on_generated
from benchmarks.harness.record import (
    add_draft_option,
    add_only_option,
    check_tree,
    data_root,
    read_record,
    write_record,
)
from benchmarks.harness.refused import or_refused
from benchmarks.methods.candidates import candidates
from benchmarks.methods.moved import moved
from edge_ad import fit
from edge_ad.evaluation.evaluate import evaluate
from edge_ad.methods.settings import FitSettings
from edge_ad_export import ExportConfig, export
from edge_ad_runtime import Detector

_TIMED = 40  # images, each scored by all methods in turn

Found = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parts = ("real", "moved", "generated", "time")
    parser.add_argument("--on", choices=parts, nargs="+", required=True)
    add_only_option(parser)
    add_draft_option(parser)
    options = parser.parse_args()
    commit = check_tree(draft=options.draft)
    kept = read_record("methods")
    content = {name: kept[name] for name in parts if name in kept}
    with tempfile.TemporaryDirectory() as name:
        for where in options.on:
            for key, measured in _tasks(where, Path(name)):
                found = content.setdefault(where, {})
                if key not in found and key.startswith(tuple(options.only or [""])):
                    found[key] = or_refused(measured)
                    print(where, key, _short(found[key]), flush=True)
                    write_record("methods", commit, content)


def _tasks(where: str, folder: Path) -> Iterator[tuple[str, Callable[[], Found]]]:
    """What is measured, by its key in the record."""
    sets = sorted(find_data_sets(data_root() / "data"), key=lambda data: len(data.test))
    if where == "time":
        for network, configs in candidates().items():
            yield network, partial(in_turn, sets[0], configs)
        return
    for network, configs in candidates().items():
        for method, config in configs.items():
            name = f"{method} | {network}"
            if where == "generated":
                yield name, partial(on_generated, config)
                continue
            for data in sets:
                there = partial(_in_motion, data, folder) if where == "moved" else lambda d=data: d
                yield f"{name} | {data.name}", partial(_on_set, config, there)


def _in_motion(data: DataSet, folder: Path) -> DataSet:
    there = folder / data.name
    there.mkdir(exist_ok=True)
    return moved(data, there)


def _on_set(config: FitSettings, there: Callable[[], DataSet]) -> Found:
    with tempfile.TemporaryDirectory() as name:
        return on_set(config, there(), Path(name) / "part.edgead")


def on_set(config: FitSettings, data: DataSet, artifact: Path) -> Found:
    """Fit, export to ``artifact``, and evaluate that."""
    of_processors_s = time.process_time()
    fit_s, fitted = seconds(lambda: fit(data.good, config, progress=True))
    of_processors_s = time.process_time() - of_processors_s
    export(fitted, artifact, ExportConfig(reference_images=1))
    with Detector.load(artifact) as detector:
        evaluation = evaluate(detector, data.test)
    known = fitted.calibration
    return {
        "images_fitted": sum(not image.held_out for image in fitted.record.images),
        "images_tested": evaluation.images,
        "kept": fitted.method.describe(fitted.kept),
        "fit_s": round(fit_s, 1),
        "fit_processor_s": round(of_processors_s, 1),
        "size_bytes": sum(p.stat().st_size for p in artifact.rglob("*") if p.is_file()),
        "image_auroc": evaluation.image_auroc,
        "pixel_auroc": evaluation.pixel_auroc,
        "pro": evaluation.pro,
        "iou": evaluation.iou,
        "left_out": known.images,
        "left_out_rejected": sum(score > known.threshold for score in known.scores),
        "false_rejects": evaluation.false_rejects,
        "detected": evaluation.detected,
        "missed": evaluation.missed,
        "true_goods": evaluation.true_goods,
    }


def in_turn(data: DataSet, configs: dict[str, FitSettings]) -> Found:
    """Seconds of each method's fit; milliseconds of each stage, all in turn on the same images."""
    fits_s: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as name:
        detectors = {}
        for method, config in configs.items():
            fits_s[method], fitted = seconds(partial(fit, data.good, config))
            report = export(
                fitted, Path(name) / f"{method}.edgead", ExportConfig(reference_images=1)
            )
            detectors[method] = Detector.load(report.path)
        stages: dict[str, list[dict[str, float]]] = {method: [] for method in detectors}

        def predict(method: str, path: Path) -> None:
            stages[method].append(dict(detectors[method].predict(path).timings_ms))

        ways = {method: partial(predict, method) for method in detectors}
        paths = [*(image.path for image in data.test), *data.good]
        in_turn_ms(ways, paths[:_TIMED])
        for detector in detectors.values():
            detector.close()
    return {
        method: {
            "fit_s": fits_s[method],
            "ms": {stage: [t[stage] for t in times] for stage in times[0]},
        }
        for method, times in stages.items()
    }


def _short(found: Found) -> Found:
    return {key: value for key, value in found.items() if not isinstance(value, dict)}


if __name__ == "__main__":
    main()
