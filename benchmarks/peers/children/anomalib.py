"""anomalib's side of `benchmarks.peers`, run in an environment of its own.

    python -m benchmarks.peers.children.anomalib prepare FOLDER WEIGHTS PICKS
    python -m benchmarks.peers.children.anomalib WAY MODEL IMAGES.npy

The first fits, exports and prints JSON; WAY is one of `WAYS`.

Where anomalib leaves a choice it is made in its favour: images are in memory and of the network's
size, nothing is resized, normalised to 0-1 or thresholded, no data loader or trainer runs.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness.clock import stopwatch
from benchmarks.harness.process import take_stdout
from benchmarks.peers.children.torchvision import import_torchvision
from benchmarks.peers.process import Predict, preparation, serve

BATCH = 32  # anomalib's default
PACKAGES = ("anomalib", "torch", "torchvision", "timm", "openvino", "onnxruntime", "numpy")


def main() -> None:
    task, *arguments = sys.argv[1:]
    if task == "prepare":
        folder, weights, picks = arguments
        answers = take_stdout()
        print(json.dumps(prepare(Path(folder), Path(weights), int(picks))), file=answers)
    else:
        model, images = arguments
        serve(lambda: WAYS[task](model), Path(images))


def prepare(folder: Path, weights: Path, picks: int) -> dict[str, Any]:
    """Time the fit on ``good.npy``, then export with the patches of ``rows.npy`` as memory bank."""
    import_torchvision()
    import torch
    from anomalib.models.components import KCenterGreedy

    model = build(weights)
    with torch.inference_mode():
        images = torch.from_numpy(np.load(folder / "good.npy")).permute(0, 3, 1, 2)
        elapsed_s = stopwatch()
        model.train()
        for batch in torch.split(images, BATCH):
            model.model(model.pre_processor(batch / 255))
        embedding = torch.vstack(model.model.embedding_store)  # (N, D)
        features_s = elapsed_s()
        seconds = []
        for count in (1, picks):  # the first is drawn: all before it is the projection
            sampler = KCenterGreedy(embedding, sampling_ratio=1.0)
            sampler.coreset_size = count
            elapsed_s = stopwatch()
            sampler.select_coreset_idxs()
            seconds.append(elapsed_s())
    model.model.embedding_store.clear()
    model.model.memory_bank = embedding[np.load(folder / "rows.npy")]
    model.eval()
    size = tuple(images.shape[2:])
    model.to_torch(folder)
    as_exported = model.to_openvino(folder / "default", input_size=size)
    model.to_openvino(folder / "one", input_size=size, onnx_kwargs={"dynamic_shapes": None})
    model.to_onnx(folder / "one", input_size=size, dynamic_shapes=None)
    made = preparation(
        patches=len(embedding),
        features_s=features_s,
        picks=picks,
        seconds=seconds,
        packages=PACKAGES,
    )
    return {**made, "exported_batch": _batch(as_exported)}


def _batch(model: Path) -> int:
    """How many images an OpenVINO model takes at once; 1 if it leaves that open."""
    import openvino

    batch = openvino.Core().read_model(model).input(0).partial_shape[0]
    return batch.get_length() if batch.is_static else 1


def build(weights: Path) -> Any:
    """PatchCore on ResNet18 with the given weights."""
    from anomalib.models import Patchcore
    from anomalib.pre_processing import PreProcessor
    from safetensors.torch import load_file
    from torchvision.transforms.v2 import Compose, Normalize

    normalize = Normalize(mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225])
    model = Patchcore(
        backbone="resnet18",
        layers=["layer2", "layer3"],
        pre_trained=False,
        pre_processor=PreProcessor(transform=Compose([normalize])),
        post_processor=False,
        evaluator=False,
        visualizer=False,
    )
    backbone = model.model.feature_extractor.feature_extractor
    unfilled, unknown = backbone.load_state_dict(load_file(weights), strict=False)
    if unknown or any(not name.endswith("num_batches_tracked") for name in unfilled):
        raise SystemExit(f"{weights} does not fit anomalib's backbone: {unfilled}, {unknown}")
    return model


def _torch(model: str) -> Predict:
    import_torchvision()
    import torch
    from anomalib.deploy import TorchInferencer

    inferencer = TorchInferencer(model, device="cpu")

    def predict(images: Any) -> Any:
        with torch.inference_mode():
            return [inferencer.predict(image).pred_score.item() for image in images]

    return predict


def _openvino(model: str, config: dict[str, str] | None = None) -> Predict:
    import_torchvision()
    from anomalib.deploy import OpenVINOInferencer

    inferencer = OpenVINOInferencer(model, config=config)
    return lambda images: inferencer.predict(images).pred_score.ravel()


def _onnxruntime(model: str) -> Predict:
    import onnxruntime

    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])

    def predict(images: Any) -> Any:
        x = images.transpose(0, 3, 1, 2).astype(np.float32) / 255
        scores, _ = session.run(["pred_score", "anomaly_map"], {"input": x})
        return scores.ravel()

    return predict


WAYS: dict[str, Callable[[str], Predict]] = {
    "torch": _torch,
    "openvino": _openvino,
    "openvino-f32": lambda model: _openvino(model, {"INFERENCE_PRECISION_HINT": "f32"}),
    "onnxruntime": _onnxruntime,
}

if __name__ == "__main__":
    main()
