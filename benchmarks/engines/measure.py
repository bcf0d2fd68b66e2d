"""Engines and precisions side by side on one fit: python -m benchmarks.engines.measure.

400 good magnetic tiles fitted at 224 px (320 of them in the bank: 25,088 patches at 10%); all the
test images of the data set scored by every artifact, and the time of some of them taken in
alternation; cold start and peak memory of a fresh process. What is not installed, or what the
processor cannot compute, is a row that says so.
"""

from __future__ import annotations

import argparse
import tempfile
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from benchmarks.harness.datasets import read_data_set
from benchmarks.harness.record import (
    add_draft_option,
    check_tree,
    data_root,
    imagenet_resnet18,
    write_record,
)
from benchmarks.harness.refused import or_refused
from benchmarks.harness.searches import search_of
from edge_ad import FittedDetector, PatchCoreConfig, fit
from edge_ad.evaluation.metrics import auroc
from edge_ad_export import ExportConfig, export
from edge_ad_runtime import Detector
from edge_ad_runtime.profile.latency import Latency, measure_latency

FITTED, TIMED = 400, 300  # images
WAYS = {
    "onnxruntime fp32": ExportConfig(),
    "onnxruntime int8": ExportConfig(precision="int8", accept_loss=True),
    "openvino fp32": ExportConfig(engine="openvino"),
    "openvino bf16": ExportConfig(engine="openvino", precision="bf16", accept_loss=True),
    "openvino int8": ExportConfig(engine="openvino", precision="int8", accept_loss=True),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--work", type=Path, help="keep the fit and the artifacts here")
    add_draft_option(parser)
    options = parser.parse_args()
    commit = check_tree(draft=options.draft)
    data = read_data_set(data_root() / "data/magnetic-tile")
    with tempfile.TemporaryDirectory() as temporary:
        work = options.work or Path(temporary)
        if not (work / "tile.fit").exists():
            config = PatchCoreConfig(weights=imagenet_resnet18())
            fit(data.good[:FITTED], config, progress=True).save(work / "tile.fit")
        fitted = FittedDetector.load(work / "tile.fit")
        runs = {name: or_refused(_compiled, fitted, name, work) for name in WAYS}
        detectors = {
            name: Detector.load(work / f"{name}.edgead")
            for name, run in runs.items()
            if "refused" not in run
        }
        images = [image.path for image in data.test]
        scores: dict[str, list[float]] = {name: [] for name in detectors}
        for path in tqdm(images, desc="score"):
            for name, detector in detectors.items():
                scores[name].append(detector.predict(path, with_map=False).score)
        is_defective = np.array([image.is_defective for image in data.test])
        with ProcessPoolExecutor(1, get_context("spawn")) as fresh:  # torch is not there
            every = fresh.submit(_timed, [d.artifact.folder for d in detectors.values()], images)
        for name, latency in zip(detectors, every.result(), strict=True):
            runs[name] |= {
                "image_auroc": auroc(np.array(scores[name]), is_defective),
                "engine_version": latency.engine_version,
                "cold_start_ms": latency.cold_start_ms,
                "peak_memory_bytes": latency.peak_memory_bytes,
                "samples_ms": latency.samples_ms,
            }
            print(name, {k: round(s.p50_ms, 1) for k, s in latency.stages.items()}, flush=True)
    bank_rows = len(fitted.kept.features)
    content = {"bank_rows": bank_rows, "images": len(data.test), "runs": runs}
    write_record("engines", commit, content)


def _timed(artifacts: list[Path], images: list[Path]) -> list[Latency]:
    detectors = [Detector.load(artifact) for artifact in artifacts]
    return measure_latency(detectors, images, count=TIMED, warmup=10)


def _compiled(fitted: FittedDetector, name: str, work: Path) -> dict[str, Any]:
    out = work / f"{name}.edgead"
    if not out.exists():
        export(fitted, out, WAYS[name], progress=True)
    manifest = Detector.load(out).manifest
    loss = manifest.precision_loss
    return {
        "search": search_of(manifest),
        "loss": asdict(loss) if loss else None,
        "bytes": sum(entry.size_bytes for entry in manifest.files.values()),
    }


if __name__ == "__main__":
    main()
