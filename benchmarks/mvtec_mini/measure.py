"""Two reduced MVTec AD categories, run as a user would: python -m benchmarks.mvtec_mini.measure.

50 good images to fit; 2 good and 8 defective ones to test: too few to rank methods, enough to see
that the whole path works on coloured, non-magnetic, real parts.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.harness.record import (
    add_draft_option,
    check_tree,
    data_root,
    imagenet_resnet18,
    write_record,
)
from benchmarks.harness.searches import search_of
from edge_ad import PatchCoreConfig, fit
from edge_ad.evaluation.evaluate import evaluate
from edge_ad.images.labelled import list_test_images
from edge_ad_export import export
from edge_ad_runtime import Detector


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add_draft_option(parser)
    options = parser.parse_args()
    commit = check_tree(draft=options.draft)
    root = data_root() / "data/mvtec-mini"
    write_record("mvtec_mini", commit, {"categories": [run(p) for p in sorted(root.iterdir())]})


def run(category: Path) -> dict[str, Any]:
    config = PatchCoreConfig(weights=imagenet_resnet18(), resize_px=256)
    fitted = fit(category / "train/good", config, progress=True)
    with tempfile.TemporaryDirectory() as folder:
        report = export(fitted, Path(folder) / "part.edgead")
        detector = Detector.load(report.path)
        evaluation = evaluate(detector, list_test_images(category))
    figures = {k: v for k, v in asdict(evaluation).items() if k not in ("artifact_sha256",)}
    print(category.name, evaluation.image_auroc, evaluation.pixel_auroc, evaluation.pro)
    return {
        "category": category.name,
        "bank_rows": len(fitted.kept.features),
        "search": search_of(detector.manifest),
        **figures,
        "scores": [[Path(i.path).name, i.kind, i.score] for i in evaluation.scores],
    }


if __name__ == "__main__":
    main()
