"""anomalib's side of `benchmarks.peers`, run in an environment of its own.

    python -m benchmarks.peers.children.anomalib prepare FOLDER WEIGHTS PICKS
    python -m benchmarks.peers.children.anomalib bank FOLDER WEIGHTS BACKBONE
    python -m benchmarks.peers.children.anomalib padim FOLDER WEIGHTS BACKBONE
    python -m benchmarks.peers.children.anomalib export-efficientad FOLDER
    python -m benchmarks.peers.children.anomalib WAY MODEL IMAGES.npy

The first fits, exports and prints JSON, and the next three export alone: PatchCore with our choice
of patches, PaDiM, and EfficientAD-S with random weights. WAY is one of `WAYS`.

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
EFFICIENTAD_SIDE = 256  # its own input
PADIM_DIMENSIONS = 100
_BACKBONES = {  # timm's name, the layers at strides 4, 8 and 16, and what images are scaled by
    "resnet18": (
        "resnet18",
        ["layer1", "layer2", "layer3"],
        [0.485, 0.456, 0.406],
        [0.229, 0.224, 0.225],
    ),
    "efficientnet_lite0": (
        "tf_efficientnet_lite0",
        ["blocks.1", "blocks.2", "blocks.4"],
        [127 / 255] * 3,
        [128 / 255] * 3,
    ),
}
PACKAGES = ("anomalib", "torch", "torchvision", "timm", "openvino", "onnxruntime", "numpy")


def main() -> None:
    task, *arguments = sys.argv[1:]
    if task == "prepare":
        folder, weights, picks = arguments
        answers = take_stdout()
        print(json.dumps(prepare(Path(folder), Path(weights), int(picks))), file=answers)
    elif task == "bank":
        folder, weights, backbone = arguments
        answers = take_stdout()
        print(json.dumps(bank(Path(folder), Path(weights), backbone)), file=answers)
    elif task == "padim":
        folder, weights, backbone = arguments
        answers = take_stdout()
        print(json.dumps(padim(Path(folder), Path(weights), backbone)), file=answers)
    elif task == "export-efficientad":
        answers = take_stdout()
        print(json.dumps(efficientad(Path(arguments[0]))), file=answers)
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
        images = _good(folder)
        elapsed_s = stopwatch()
        embedding = _embedding(model, images)
        features_s = elapsed_s()
        seconds = []
        for count in (1, picks):  # the first is drawn: all before it is the projection
            sampler = KCenterGreedy(embedding, sampling_ratio=1.0)
            sampler.coreset_size = count
            elapsed_s = stopwatch()
            sampler.select_coreset_idxs()
            seconds.append(elapsed_s())
    _remember(model, embedding, folder)
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


def bank(folder: Path, weights: Path, backbone: str) -> dict[str, Any]:
    """Export to torch with the patches ``rows.npy`` of ``good.npy`` as memory bank."""
    import_torchvision()
    import torch

    model = build(weights, backbone)
    with torch.inference_mode():
        embedding = _embedding(model, _good(folder))
    _remember(model, embedding, folder)
    model.to_torch(folder)
    return {"patches": len(embedding), "dimension": embedding.shape[1]}


def padim(folder: Path, weights: Path, backbone: str) -> dict[str, Any]:
    """Export PaDiM, fitted on ``good.npy``, to torch."""
    import_torchvision()
    import torch
    from anomalib.models import Padim

    name, layers, _, _ = _BACKBONES[backbone]
    model = Padim(
        backbone=name,
        layers=layers,
        pre_trained=False,
        n_features=PADIM_DIMENSIONS,
        **_alone(backbone),
    )
    load_weights(model, weights)
    model.train()
    elapsed_s = stopwatch()
    with torch.inference_mode():
        for batch in torch.split(_good(folder), BATCH):
            model.model(model.pre_processor(batch / 255))
        model.model.fit()
    fit_s = elapsed_s()
    model.eval()
    model.to_torch(folder)
    return {"fit_s": fit_s}


def _good(folder: Path) -> Any:
    """The images of ``good.npy``, ``(N, 3, H, W)`` uint8."""
    import torch

    return torch.from_numpy(np.load(folder / "good.npy")).permute(0, 3, 1, 2)


def _embedding(model: Any, images: Any) -> Any:
    """The patch features of all images, ``(N, D)``, which leaves the model in training."""
    import torch

    model.train()
    for batch in torch.split(images, BATCH):
        model.model(model.pre_processor(batch / 255))
    return torch.vstack(model.model.embedding_store)


def _remember(model: Any, embedding: Any, folder: Path) -> None:
    """Make the patches of ``rows.npy`` the memory bank, and end the training."""
    model.model.embedding_store.clear()
    model.model.memory_bank = embedding[np.load(folder / "rows.npy")]
    model.eval()


def efficientad(folder: Path) -> dict[str, Any]:
    """Export EfficientAD-S to ONNX at its 256 px, with random weights: only time can be asked."""
    import_torchvision()
    from anomalib.models import EfficientAd

    model = EfficientAd(
        model_size="small", post_processor=False, evaluator=False, visualizer=False
    ).eval()
    side = EFFICIENTAD_SIDE
    model.to_onnx(folder, input_size=(side, side), dynamic_shapes=None)
    return {}


def _batch(model: Path) -> int:
    """How many images an OpenVINO model takes at once; 1 if it leaves that open."""
    import openvino

    batch = openvino.Core().read_model(model).input(0).partial_shape[0]
    return batch.get_length() if batch.is_static else 1


def build(weights: Path, backbone: str = "resnet18") -> Any:
    """PatchCore with the given weights of ResNet18 or EfficientNet-Lite0, at strides 8 and 16."""
    from anomalib.models import Patchcore

    name, layers, _, _ = _BACKBONES[backbone]
    model = Patchcore(backbone=name, layers=layers[1:], pre_trained=False, **_alone(backbone))
    load_weights(model, weights)
    return model


def _alone(backbone: str) -> dict[str, Any]:
    """The model by itself: images are normalised, and nothing else comes before or after it."""
    from anomalib.pre_processing import PreProcessor
    from torchvision.transforms.v2 import Compose, Normalize

    _, _, mean, std = _BACKBONES[backbone]
    normalize = Normalize(mean=mean, std=std)
    return {
        "pre_processor": PreProcessor(transform=Compose([normalize])),
        "post_processor": False,
        "evaluator": False,
        "visualizer": False,
    }


def load_weights(model: Any, weights: Path) -> None:
    """Fill the backbone of a model from a file.

    Raises:
        SystemExit: the file is of another network.
    """
    network = model.model.feature_extractor.feature_extractor
    state = _state(weights, [name for name in network.state_dict() if "num_batches" not in name])
    unfilled, unknown = network.load_state_dict(state, strict=False)
    if unknown or any(not name.endswith("num_batches_tracked") for name in unfilled):
        raise SystemExit(f"{weights} does not fit anomalib's backbone: {unfilled}, {unknown}")


def _state(weights: Path, names: list[str]) -> dict[str, Any]:
    """The file's tensors by timm's ``names``.

    EfficientNet-Lite's file has the same tensors in the same order under other names. Those that
    follow are of layers that are not used.
    """
    import torch
    from safetensors.torch import load_file

    if weights.suffix == ".safetensors":
        return dict(load_file(weights))
    tensors = torch.load(weights, map_location="cpu", weights_only=True)
    values = [value for name, value in tensors.items() if "num_batches" not in name]
    return dict(zip(names, values, strict=False))


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


def _efficientad(model: str) -> Predict:
    import onnxruntime

    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    side = EFFICIENTAD_SIDE

    def predict(images: Any) -> Any:
        x = np.zeros((len(images), 3, side, side), np.float32)
        height, width = images.shape[1:3]
        x[:, :, :height, :width] = images.transpose(0, 3, 1, 2) / np.float32(255)
        scores, _ = session.run(["pred_score", "anomaly_map"], {"input": x})
        return scores.ravel()

    return predict


WAYS: dict[str, Callable[[str], Predict]] = {
    "torch": _torch,
    "openvino": _openvino,
    "openvino-f32": lambda model: _openvino(model, {"INFERENCE_PRECISION_HINT": "f32"}),
    "onnxruntime": _onnxruntime,
    "efficientad": _efficientad,
}

if __name__ == "__main__":
    main()
