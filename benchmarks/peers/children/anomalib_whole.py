"""anomalib's side of `benchmarks.accuracy`: PatchCore as it comes, in an environment of its own.

    python -m benchmarks.peers.children.anomalib_whole embed FOLDER WEIGHTS
    python -m benchmarks.peers.children.anomalib_whole score FOLDER WEIGHTS

The first writes the patches of the images of ``good.json`` to ``patches.npy``. The second takes
those of ``bank.npy`` for its memory bank, and writes scores and maps of the images of
``test.json``. Images are read as RGB, and its own preprocessing makes them 256 px.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers.children.anomalib import load_weights
from benchmarks.peers.children.torchvision import import_torchvision


def main() -> None:
    task, folder, weights = sys.argv[1:]
    {"embed": embed, "score": score}[task](Path(folder), Path(weights))


def embed(folder: Path, weights: Path) -> None:
    """Write the patches of the good images, ``(N, D)``."""
    model = _build(weights)
    import torch

    model.train()
    with torch.inference_mode():
        for path in json.loads((folder / "good.json").read_text()):
            model.model(model.pre_processor(_read(path)))
        patches = torch.vstack(model.model.embedding_store)
    np.save(folder / "patches.npy", patches.numpy())


def score(folder: Path, weights: Path) -> None:
    """Write the scores and the maps of the test images."""
    model = _build(weights)
    import torch

    model.model.memory_bank = torch.from_numpy(np.load(folder / "bank.npy"))
    model.eval()
    scores, maps = [], []
    with torch.inference_mode():
        for path in json.loads((folder / "test.json").read_text()):
            found = model.model(model.pre_processor(_read(path)))
            scores.append(found.pred_score.item())
            maps.append(found.anomaly_map[0, 0].numpy())
    np.save(folder / "scores.npy", np.array(scores, np.float32))
    np.save(folder / "maps.npy", np.array(maps, np.float32))


def _build(weights: Path) -> Any:
    import_torchvision()
    from anomalib.models import Patchcore

    model = Patchcore(
        backbone="resnet18",
        layers=["layer2", "layer3"],
        pre_trained=False,
        post_processor=False,
        evaluator=False,
        visualizer=False,
    )
    load_weights(model, weights)
    return model


def _read(path: str) -> Any:
    """``(1, 3, H, W)`` in 0-1."""
    import torch
    from PIL import Image

    with Image.open(path) as image:
        pixels = np.array(image.convert("RGB"))
    return torch.from_numpy(pixels).permute(2, 0, 1)[None] / 255


if __name__ == "__main__":
    main()
