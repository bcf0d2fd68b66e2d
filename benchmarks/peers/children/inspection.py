"""patchcore-inspection's side of `benchmarks.peers`, run in an environment of its own.

    python -m benchmarks.peers.children.inspection prepare CHECKOUT FOLDER WEIGHTS PICKS
    python -m benchmarks.peers.children.inspection CHECKOUT FOLDER WEIGHTS IMAGES.npy

The first prints JSON.

With the settings of its published results, but for the backbone: 1,024 dimensions, squared
distances, no equation 7. Its saved models download their backbone when loaded, so that only the
faiss index is read back.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.harness.clock import stopwatch
from benchmarks.harness.process import take_stdout
from benchmarks.peers.children.torchvision import import_torchvision
from benchmarks.peers.process import Predict, preparation, serve

BATCH = 2  # its default
PACKAGES = ("torch", "torchvision", "faiss-cpu", "numpy")
MEAN = np.array([0.485, 0.456, 0.406], np.float32)  # of ImageNet, RGB, in 0-1
STD = np.array([0.229, 0.224, 0.225], np.float32)


def main() -> None:
    if sys.argv[1] == "prepare":
        checkout, folder, weights, picks = sys.argv[2:]
        answers = take_stdout()
        result = prepare(build(checkout, weights), Path(folder), int(picks))
        print(json.dumps(result), file=answers)
    else:
        checkout, folder, weights, images = sys.argv[1:]
        serve(lambda: load(build(checkout, weights), folder), Path(images))


def build(checkout: str, weights: str, size: tuple[int, int] = (224, 224)) -> Any:
    """PatchCore on ResNet18 with the given weights."""
    sys.path.insert(0, f"{checkout}/src")
    import_torchvision()
    import torch
    from patchcore.common import FaissNN
    from patchcore.patchcore import PatchCore
    from safetensors.torch import load_file
    from torchvision.models import resnet18

    backbone = resnet18(weights=None).eval()  # else its load() moves the batch norms' statistics
    backbone.load_state_dict(load_file(weights), strict=False)  # without layer 4 and the classifier
    model = PatchCore(torch.device("cpu"))
    model.load(
        backbone=backbone,
        layers_to_extract_from=["layer2", "layer3"],
        device=torch.device("cpu"),
        input_shape=(3, *size),
        pretrain_embed_dimension=1024,
        target_embed_dimension=1024,
        nn_method=FaissNN(on_gpu=False, num_workers=os.cpu_count() or 1),
    )
    return model


def prepare(model: Any, folder: Path, picks: int) -> dict[str, Any]:
    """Time the fit on ``good.npy``, then save an index of the patches of ``rows.npy``."""
    import torch
    from patchcore.sampler import ApproximateGreedyCoresetSampler

    images = np.load(folder / "good.npy")
    elapsed_s = stopwatch()
    batches = np.array_split(images, -(-len(images) // BATCH))
    features = np.concatenate([np.asarray(model.embed(_normalised(b))) for b in batches])
    features_s = elapsed_s()
    seconds = []
    for count in (1, picks):
        share = (count + 0.5) / len(features)
        sampler = ApproximateGreedyCoresetSampler(share, torch.device("cpu"))
        elapsed_s = stopwatch()
        sampler.run(features)
        seconds.append(elapsed_s())
    model.anomaly_scorer.fit([features[np.load(folder / "rows.npy")]])
    model.anomaly_scorer.save(str(folder))
    return preparation(
        patches=len(features),
        features_s=features_s,
        picks=picks,
        seconds=seconds,
        packages=PACKAGES,
    )


def load(model: Any, folder: str) -> Predict:
    model.anomaly_scorer.load(folder)

    def predict(images: NDArray[np.uint8]) -> Any:
        scores, _ = model.predict(_normalised(images))
        return scores

    return predict


def _normalised(images: NDArray[np.uint8]) -> Any:
    """``(n, 3, H, W)`` float32 tensor."""
    import torch

    x = (images.astype(np.float32) / 255 - MEAN) / STD
    return torch.from_numpy(x.transpose(0, 3, 1, 2))


if __name__ == "__main__":
    main()
