"""PatchCore on EfficientNet-Lite0: python -m benchmarks.edge.measure.

Beside ours on ResNet18, beside anomalib's torch model on either backbone, and beside EfficientAD-S,
which is the name that people give for speed. Everyone gets the same magnetic tiles, weights and, on
the same backbone, the same patches in the bank; see `benchmarks.peers.measure` for the rest.
EfficientAD-S has random weights, since they make no difference to its time, and its own 256 px.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness.datasets import draw, read_data_set
from benchmarks.harness.record import (
    add_draft_option,
    check_tree,
    data_root,
    write_record,
)
from benchmarks.peers.environments import add_options, environments
from benchmarks.peers.in_turn import judge, measure
from benchmarks.peers.measure import fit_edge_ad, prepare
from benchmarks.peers.ways import LITE, RESNET, anomalib_way, imagenet_files, our_way
from edge_ad import PatchCoreConfig
from edge_ad.images.good import load_preprocessed
from edge_ad_export import ExportConfig, export


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_options(parser)
    add_draft_option(parser)
    options = parser.parse_args()
    commit = check_tree(draft=options.draft)
    with tempfile.TemporaryDirectory() as name:
        record = compare(options, Path(name))
    write_record("edge", commit, record)


def compare(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    names = ("onnxruntime", "anomalib", "onnxruntime alone")
    made = environments(names, options, folder / "environments")
    data = read_data_set(data_root() / "data/magnetic-tile")
    weights = imagenet_files()
    configs = {
        LITE: PatchCoreConfig(backbone=LITE),
        f"{LITE}, two taps": PatchCoreConfig(backbone=LITE, taps=2),
        RESNET: PatchCoreConfig(backbone=RESNET, weights=weights[RESNET]),
    }
    ways, searches, fits, banks = [], {}, {}, {}
    for name, config in configs.items():
        own = folder / name
        own.mkdir()
        fitted, fits[name] = fit_edge_ad(data.good, options.images, own, config)
        banks[name] = list(fitted.kept.features.shape)
        (searches[name],) = export(fitted, own / "ours.edgead", ExportConfig()).searches
        ways.append(our_way(name, own / "ours.edgead"))
        if name in weights:  # theirs has no taps
            theirs = prepare(
                made["anomalib"], own, "anomalib", "bank", str(own), weights[name], name
            )
            model = own / "weights/torch/model.pt"
            ways.append(anomalib_way(f"torch, {name}", "torch", model, theirs))
    there = prepare(made["anomalib"], folder, "anomalib", "export-efficientad", str(folder))
    model = folder / "weights/onnx/model.onnx"
    ways.append(anomalib_way("EfficientAD-S", "efficientad", model, there))
    test = draw(data.test, options.test_images)
    images = [load_preprocessed(image.path, configs[LITE].preprocessing) for image in test]
    np.save(folder / "test.npy", images)
    measured = measure(ways, made, folder, len(test))
    is_defective = np.array([image.is_defective for image in test])
    judge(measured, [1.0] * len(test), is_defective)  # none of them has the reference as its truth
    for row in measured:
        print(row["name"], row.get("refused") or np.median(row["ms"]), flush=True)
    return {
        "bank_images": options.images,
        "banks": banks,
        "fit": fits,
        "searches": searches,
        "test": [[image.path.name, image.kind] for image in test],
        "ways": measured,
    }


if __name__ == "__main__":
    main()
