"""What leaving each image out costs beside the fit: python -m benchmarks.calibration.cost.

The steps of a fit of 320 magnetic tiles with the default settings and ImageNet ResNet18, by both
ways, on one thread and in seconds of that thread, which other work on the machine does not slow.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import TypeVar

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from benchmarks.harness.record import (
    add_draft_option,
    check_tree,
    data_root,
    imagenet_resnet18,
    write_record,
)
from edge_ad import PatchCoreConfig
from edge_ad.features.isolation import find_isolated
from edge_ad.features.patches import build_network
from edge_ad.features.store import features_of
from edge_ad.images.good import GoodImages
from edge_ad.images.same_part import parts_of
from edge_ad.methods.judge import Judge
from edge_ad.methods.patchcore.bank import build_bank
from edge_ad.methods.patchcore.left_out import leave_one_out
from edge_ad.methods.patchcore.method import METHOD
from edge_ad.networks.run import TorchRun

IMAGES = 320

_Result = TypeVar("_Result")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add_draft_option(parser)
    options = parser.parse_args()
    commit = check_tree(draft=options.draft)
    torch.set_num_threads(1)
    with threadpool_limits(1):
        write_record("calibration_cost", commit, {"images": IMAGES, "steps_s": measure()})


def measure() -> dict[str, float]:
    """Seconds of each step."""
    steps: dict[str, float] = {}

    def timed(name: str, work: Callable[[], _Result]) -> _Result:
        start = time.process_time()
        result = work()
        steps[name] = round(time.process_time() - start, 2)
        print(name, steps[name], flush=True)
        return result

    config = PatchCoreConfig(weights=imagenet_resnet18(), backbone="resnet18")
    paths = sorted((data_root() / "data/magnetic-tile/MT_Free/Imgs").glob("*.jpg"))[:IMAGES]
    images = GoodImages(paths, config.preprocessing)
    digests = [str(path) for path in paths]
    timed("same parts", lambda: parts_of(images.thumbnails(progress=False), digests))
    network = build_network(config)
    run = TorchRun(network)
    features = timed("features", lambda: features_of(run, images, progress=False))
    timed("isolated", lambda: find_isolated(features, paths))
    bank, _ = timed("bank of all", lambda: build_bank(features, config))
    parts = np.arange(IMAGES)
    timed("left out", lambda: leave_one_out(features, bank, parts, config))
    held_out = IMAGES // 5
    of_split, _ = timed("bank of the split", lambda: build_bank(features[held_out:], config))
    judge = Judge(run, METHOD.lower(network, of_split, config), config.size)
    _, shown = next(images.only(range(8)).batches())  # of the held-out, to be scaled up
    timed("8 held out", lambda: [judge.score(image) for image in shown])
    return steps


if __name__ == "__main__":
    main()
