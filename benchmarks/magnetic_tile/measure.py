"""Magnetic tile by the PatchCore paper's protocol: python -m benchmarks.magnetic_tile.measure.

20% of the good images (190 of 952) are held out for the test together with all 392 defective ones
(Roth et al. 2022, section 4.4.3). Per coreset fraction: fit, export with exact search and with
``auto``, score every test image with the slow reference and with both artifacts.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from benchmarks.harness.clock import seconds
from benchmarks.harness.datasets import DataSet, read_data_set
from benchmarks.harness.record import (
    add_draft_option,
    check_tree,
    data_root,
    imagenet_resnet18,
    write_record,
)
from edge_ad import FittedDetector, PatchCoreConfig, ReferenceDetector, fit
from edge_ad.evaluation.evaluate import Evaluation, evaluate
from edge_ad.evaluation.metrics import auroc
from edge_ad.images.labelled import TestImage
from edge_ad_export import ExportConfig, export
from edge_ad_runtime import Detector
from edge_ad_runtime.images import read_image

PAPER = {"image_auroc": 0.979, "backbone": "wide_resnet50_2", "coreset_fraction": 0.1}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fractions", type=float, nargs="+", default=[0.1, 0.01])
    parser.add_argument("--stretch", action="store_true", help="the whole image, not 256 -> 224")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--kept-reference", type=Path, help="a record whose reference scores are used again"
    )
    add_draft_option(parser)
    options = parser.parse_args()
    commit = check_tree(draft=options.draft)
    data = read_data_set(data_root() / "data/magnetic-tile", seed=options.seed)
    runs = [run(data, fraction, options) for fraction in options.fractions]
    suffix = "_stretch" if options.stretch else ""
    content = {"paper": PAPER, "fitted": len(data.good), "runs": runs}
    write_record(f"magnetic_tile{suffix}", commit, content)


def run(data: DataSet, fraction: float, options: argparse.Namespace) -> dict[str, Any]:
    config = PatchCoreConfig(
        weights=imagenet_resnet18(),
        resize_px=None if options.stretch else 256,
        coreset_fraction=fraction,
        holdout_fraction=0.05,  # 38 of the 762: nearly all go into the bank, as in the paper
        seed=options.seed,
    )
    fit_s, fitted = seconds(lambda: fit(data.good, config, progress=True))
    kept = options.kept_reference
    reference = _kept(kept, fraction, data.test) if kept else _reference(fitted, data.test)
    result = {
        "coreset_fraction": fraction,
        "resize_px": config.resize_px,
        "holdout_fraction": config.holdout_fraction,
        "bank_rows": len(fitted.kept.features),
        "fit_s": round(fit_s, 1),
        "threshold": fitted.calibration.threshold,
        "false_reject_rate": fitted.calibration.false_reject_rate,
        **reference,
        "exported": {
            search: _exported(fitted, data.test, search, reference) for search in ("exact", "auto")
        },
    }
    print({k: v for k, v in result.items() if "auroc" in k}, flush=True)
    return result


def _reference(fitted: FittedDetector, test: Sequence[TestImage]) -> dict[str, Any]:
    """The slow truth: scores with equation 7, and without it (the largest patch distance)."""
    detector = ReferenceDetector(fitted)
    traces = [detector.trace(read_image(i.path)) for i in tqdm(test, desc="reference")]
    scores = np.array([float(trace["score"]) for trace in traces])
    largest = np.array([float(trace["distances"].max()) for trace in traces])
    is_defective = np.array([image.is_defective for image in test])
    return {
        "reference_image_auroc": auroc(scores, is_defective),
        "reference_image_auroc_without_equation_7": auroc(largest, is_defective),
        "reference_scores": scores.tolist(),
    }


def _kept(record: Path, fraction: float, test: Sequence[TestImage]) -> dict[str, Any]:
    """The same from an earlier record: the reference takes a second per image."""
    content = json.loads(record.read_text(encoding="utf-8"))
    (run,) = (run for run in content["runs"] if run["coreset_fraction"] == fraction)
    names = [name for name, _, _ in run["exported"]["exact"]["scores"]]
    scores = dict(zip(names, run["reference_scores"], strict=True))
    aurocs = ("reference_image_auroc", "reference_image_auroc_without_equation_7")
    return {
        **{name: run[name] for name in aurocs},
        "reference_scores": [scores[image.path.name] for image in test],
        "reference_commit": run.get("reference_commit", content["commit"]),
    }


def _exported(
    fitted: FittedDetector, test: Sequence[TestImage], search: Any, reference: dict[str, Any]
) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        report = export(fitted, Path(folder) / "tile.edgead", ExportConfig(search=search))
        detector = Detector.load(report.path)
        evaluation = evaluate(detector, test, progress=True)
        times_ms = [detector.predict(image.path).timings_ms for image in test[:100]]
    kind, reason = report.searches[0].split(": ", 1)
    scores = np.array([image.score for image in evaluation.scores])
    expected = np.array(reference["reference_scores"])
    return {
        "search": kind,
        "reason": reason,
        "size_mb": round(report.size_bytes / 1e6, 1),
        "largest_relative_score_difference": float(np.max(np.abs(scores - expected) / expected)),
        "image_auroc": evaluation.image_auroc,
        "pixel_auroc": evaluation.pixel_auroc,
        "pro": evaluation.pro,
        "f1_best": evaluation.f1_best,
        "by_kind": {k.kind: k.auroc for k in evaluation.by_kind},
        **_confusion(evaluation),
        "median_ms": {k: float(np.median([t[k] for t in times_ms])) for k in times_ms[0]},
        "scores": [[Path(i.path).name, i.kind, i.score] for i in evaluation.scores],
    }


def _confusion(evaluation: Evaluation) -> dict[str, int]:
    names = ("true_goods", "false_rejects", "detected", "missed")
    return {name: getattr(evaluation, name) for name in names}


if __name__ == "__main__":
    main()
