"""U-Flow, trained to its end, beside PatchCore and PaDiM: python -m benchmarks.methods.uflow.

All three see the same good images at U-Flow's own size, 256 px, with ImageNet's ResNet18. They are
exported, evaluated as a user would, and asked for the same test images in turn. The sets are the
small real ones, magnetic tiles of which 200 good ones are fitted, and drawn plates. A set that is
recorded already is not measured again.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from safetensors import safe_open

from benchmarks.harness.datasets import DataSet, find_data_sets, read_data_set
from benchmarks.harness.record import (
    add_draft_option,
    check_tree,
    data_root,
    imagenet_resnet18,
    read_record,
    write_record,
)
from benchmarks.methods.measure import Found, on_set, stages_in_turn
from edge_ad import PatchCoreConfig
from edge_ad.methods.padim.settings import PadimConfig
from edge_ad.methods.settings import FitSettings
from edge_ad.methods.uflow.settings import UFlowConfig
from edge_ad.synthetic.parts import write_parts

UFLOW, PATCHCORE, PADIM = "U-Flow", "PatchCore", "PaDiM"
GENERATED = "drawn plates"

_SIZE = (256, 256)
_MOST_GOOD = 200
_DRAWN_GOOD, _DRAWN_TEST_GOOD, _DRAWN_PER_DEFECT = 60, 30, 8


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", nargs="+", help="names of sets, or their beginnings")
    add_draft_option(parser)
    options = parser.parse_args()
    commit = check_tree(draft=options.draft)
    sets = read_record("methods_uflow").get("sets", {})
    with tempfile.TemporaryDirectory() as name:
        for data in _data_sets(Path(name)):
            if data.name not in sets and data.name.startswith(tuple(options.only or [""])):
                sets[data.name] = _beside_one_another(data, Path(name) / "of" / data.name)
                write_record("methods_uflow", commit, {"size": _SIZE, "sets": sets})


def _data_sets(folder: Path) -> list[DataSet]:
    """The sets, the smallest first, with no more good images than are to be fitted."""
    drawn = folder / GENERATED
    write_parts(drawn, good=_DRAWN_GOOD, test_good=_DRAWN_TEST_GOOD, per_defect=_DRAWN_PER_DEFECT)
    real = [_with_fewer_good(data) for data in find_data_sets(data_root() / "data")]
    return sorted([read_data_set(drawn), *real], key=lambda data: len(data.good))


def _with_fewer_good(data: DataSet) -> DataSet:
    drawn = np.random.default_rng(0).permutation(len(data.good))[:_MOST_GOOD]
    return replace(data, good=tuple(data.good[i] for i in sorted(drawn)))


def _configs() -> dict[str, FitSettings]:
    weights = imagenet_resnet18()
    return {
        PATCHCORE: PatchCoreConfig(backbone="resnet18", weights=weights, size=_SIZE),
        PADIM: PadimConfig(backbone="resnet18", weights=weights, size=_SIZE),
        UFLOW: UFlowConfig(backbone="resnet18", weights=weights, size=_SIZE),
    }


def _beside_one_another(data: DataSet, folder: Path) -> Found:
    """What each method says of a set, and the milliseconds of its stages on each of some images."""
    folder.mkdir(parents=True)
    artifacts = {method: folder / f"{method}.edgead" for method in _configs()}
    found: Found = {}
    for method, config in _configs().items():
        checkpoint = folder / "checkpoint.safetensors"
        if isinstance(config, UFlowConfig):
            config = replace(config, checkpoint=str(checkpoint))
        found[method] = on_set(config, data, artifacts[method])
        if checkpoint.exists():
            found[method]["training"] = _training(checkpoint)
        print(data.name, method, found[method], flush=True)
    return {"methods": found, "stages_ms": stages_in_turn(artifacts, data)}


def _training(checkpoint: Path) -> Found:
    """How many epochs a training took, and which of them was kept."""
    with safe_open(checkpoint, framework="np") as file:
        epochs, best, best_epoch = json.loads(file.metadata()["progress"])
    return {"epochs": epochs, "best_epoch": best_epoch, "watched_nll": best}


if __name__ == "__main__":
    main()
