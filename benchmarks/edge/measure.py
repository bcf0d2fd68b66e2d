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
    imagenet_resnet18,
    write_record,
)
from benchmarks.peers.environments import add_options, environments
from benchmarks.peers.in_turn import judge, measure
from benchmarks.peers.measure import fit_edge_ad, prepare
from benchmarks.peers.ways import Way
from edge_ad import FittedDetector, PatchCoreConfig
from edge_ad.images.good import load_preprocessed
from edge_ad.networks.lite_package import published_weights
from edge_ad_export import ExportConfig, export

LITE, RESNET = "efficientnet_lite0", "resnet18"


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
    configs = {
        LITE: PatchCoreConfig(backbone=LITE),
        RESNET: PatchCoreConfig(backbone=RESNET, weights=imagenet_resnet18()),
    }
    weights = {LITE: str(published_weights(LITE)), RESNET: imagenet_resnet18()}
    ways, searches, fits, banks = [], {}, {}, {}
    for name, config in configs.items():
        own = folder / name
        own.mkdir()
        fitted, fits[name] = fit_edge_ad(data.good, options.images, own, config)
        banks[name] = list(fitted.kept.features.shape)
        searches[name], ours = our_way(fitted, name, own)
        theirs = prepare(made["anomalib"], own, "anomalib", "bank", str(own), weights[name], name)
        ways += [ours, _anomalib(f"torch, {name}", "torch", own, "weights/torch/model.pt", theirs)]
    there = prepare(made["anomalib"], folder, "anomalib", "export-efficientad", str(folder))
    ways.append(_anomalib("EfficientAD-S", "efficientad", folder, "weights/onnx/model.onnx", there))
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


def our_way(fitted: FittedDetector, name: str, folder: Path) -> tuple[str, Way]:
    """Ours with the search that export chooses, and why it chose that."""
    artifact = folder / "ours.edgead"
    report = export(fitted, artifact, ExportConfig())
    command = ("edge_ad", str(artifact), "onnxruntime")
    way = Way(
        name=f"edge_ad, {name}",
        environment="onnxruntime",
        command=command,
        truth=f"edge_ad, {name}",
    )
    return report.searches[0], way


def _anomalib(name: str, kind: str, folder: Path, model: str, made: dict[str, Any]) -> Way:
    """A way of anomalib's: its torch model, or its ONNX graph where there is no torch."""
    return Way(
        name=f"anomalib, {name}",
        environment="anomalib" if kind == "torch" else "onnxruntime alone",
        command=("anomalib", kind, str(folder / model)),
        truth=f"anomalib, {name}",
        refused=made.get("refused"),
    )


if __name__ == "__main__":
    main()
