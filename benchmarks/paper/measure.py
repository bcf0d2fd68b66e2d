"""The tables and figures of the PatchCore paper, for whatever data and weights are there.

    python -m benchmarks.paper.measure DATA_ROOT --weights resnet18=FILE wide_resnet50_2=imagenet

Finds the data sets below DATA_ROOT (MVTec AD, BTAD, VisA, magnetic tile, frame folders), fits,
exports with exact search and evaluates the artifact, run by run. The first backbone is the one that
is varied; rows whose weights are not given are listed, not run. Runs are kept in
results/paper.json as they end and are not repeated, so it can be stopped and started again;
`benchmarks.paper.table` writes PAPER.md from there.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness.clock import seconds
from benchmarks.harness.datasets import DataSet, find_data_sets
from benchmarks.harness.record import add_draft_option, check_tree, read_record, write_record
from benchmarks.harness.refused import or_refused
from benchmarks.paper.ivfpq import search_with_ivfpq
from benchmarks.paper.rows import IVFPQ, SWEEP, Row, rows
from edge_ad import fit
from edge_ad.evaluation.evaluate import Evaluation, evaluate
from edge_ad.methods.padim.settings import PadimConfig
from edge_ad_export import ExportConfig, export
from edge_ad_runtime import Detector

TIMED = 50  # test images that table 5 times, one detector after the other on each


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data_root", type=Path)
    parser.add_argument("--weights", nargs="+", required=True, metavar="BACKBONE=FILE|imagenet")
    parser.add_argument("--tables", nargs="+", help="only these, such as 'Figure 4'")
    add_draft_option(parser)
    options = parser.parse_args()
    commit = check_tree(draft=options.draft)
    weights = dict(item.split("=", 1) for item in options.weights)
    data_sets = find_data_sets(options.data_root.resolve())
    runs: dict[str, Any] = read_record("paper").get("runs", {})
    for row in rows(next(iter(weights))):
        if options.tables and row.table not in options.tables:
            continue
        for data in data_sets:
            key = f"{row.table} | {row.label} | {data.name}"
            if key in runs or not _wanted(row, data) or not _can_run(row, weights):
                continue
            print(key, flush=True)
            if row.table == "Table 5":
                times = run_table_5(next(iter(weights)), data, weights)
                runs |= {f"Table 5 | {label} | {data.name}": v for label, v in times.items()}
            else:
                runs[key] = or_refused(run, row, data, weights)
            print("  ", {k: v for k, v in runs[key].items() if k != "settings"}, flush=True)
            content = {"backbone": next(iter(weights)), "weights": sorted(weights), "runs": runs}
            write_record("paper", commit, content)


def _wanted(row: Row, data: DataSet) -> bool:
    """Layers 3+4 are for mSTC; few shots need as many images."""
    shots = row.members[0].shots or 1
    if row.table == "Table 6" and data.layout != "frames":
        return False
    return shots == SWEEP or shots <= len(data.good)


def _can_run(row: Row, weights: dict[str, str]) -> bool:
    """Whether the weights and the library of a row are there."""
    has_library = row.label != IVFPQ or find_spec("faiss") is not None
    return has_library and all(member.backbone in weights for member in row.members)


def run(row: Row, data: DataSet, weights: dict[str, str]) -> dict[str, Any]:
    """Fit, export, evaluate."""
    with tempfile.TemporaryDirectory() as folder:
        detector, made = _detector(row, data, weights, Path(folder))
        return {**made, **_figures(evaluate(detector, data.test))}


def run_table_5(backbone: str, data: DataSet, weights: dict[str, str]) -> dict[str, dict[str, Any]]:
    """The rows of table 5 by label, their detectors timed in turn on the same images."""
    table = [row for row in rows(backbone) if row.table == "Table 5" and _can_run(row, weights)]
    with tempfile.TemporaryDirectory() as folder:
        detectors, results = {}, {}
        for row in table:
            detector, made = _detector(row, data, weights, Path(folder) / row.label)
            detectors[row.label], results[row.label] = detector, made
        for row in table:
            results[row.label] |= _figures(evaluate(detectors[row.label], data.test))
        times: dict[str, list[Mapping[str, float]]] = {row.label: [] for row in table}
        for image in data.test[:TIMED]:
            for label, detector in detectors.items():
                times[label].append(detector.predict(image.path).timings_ms)
    for label, found in times.items():
        stages = {stage: float(np.median([t[stage] for t in found])) for stage in found[0]}
        results[label] |= {"median_ms": stages, "total_ms": [t["total"] for t in found]}
    return results


def _detector(
    row: Row, data: DataSet, weights: dict[str, str], folder: Path
) -> tuple[Detector, dict[str, Any]]:
    """Fit and export, with exact search or, for that row of table 5, faiss's IVFPQ."""
    shots = [min(member.shots or len(data.good), len(data.good)) for member in row.members]
    configs = [
        replace(member, weights=weights[member.backbone], shots=count)
        for member, count in zip(row.members, shots, strict=True)
    ]
    fit_s, fits = seconds(lambda: [fit(data.good, config) for config in configs])
    # no image is held out, as in the paper, and the threshold is of no use here
    searches = not isinstance(configs[0], PadimConfig)
    settings = ExportConfig(
        search="exact" if searches else "auto", threshold=1.0, reference_images=1
    )
    detector = Detector.load(export(fits, folder / "part.edgead", settings).path)
    if row.label == IVFPQ:
        search_with_ivfpq(detector, fits[0].kept)
    return detector, {
        "settings": [{**asdict(member), "weights": member.backbone} for member in row.members],
        "images_fitted": shots[-1],
        "kept": [fitted.method.describe(fitted.kept) for fitted in fits],
        "fit_s": round(fit_s, 1),
    }


def _figures(evaluation: Evaluation) -> dict[str, Any]:
    """The paper's figures; errors are counted at the best F1, as in its table 1."""
    called = np.array([image.score >= evaluation.f1_best_threshold for image in evaluation.scores])
    is_defective = np.array([image.is_defective for image in evaluation.scores])
    return {
        "images_tested": evaluation.images,
        "image_auroc": evaluation.image_auroc,
        "pixel_auroc": evaluation.pixel_auroc,
        "pro": evaluation.pro,
        "false_positives": int((called & ~is_defective).sum()),
        "false_negatives": int((~called & is_defective).sum()),
    }


if __name__ == "__main__":
    main()
