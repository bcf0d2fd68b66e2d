"""The ways to score an image that are measured beside one another."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.harness.record import imagenet_resnet18
from benchmarks.peers.environments import INSPECTION
from edge_ad import FittedDetector
from edge_ad.networks.lite_package import published_weights
from edge_ad_export import ExportConfig, export
from edge_ad_runtime.errors import EdgeADError

# our ways: how the fit is exported, and the engine that runs it
OURS = {
    "edge_ad": (ExportConfig(), "onnxruntime"),
    "edge_ad, int8": (ExportConfig(precision="int8", accept_loss=True), "onnxruntime"),
    "edge_ad, OpenVINO": (ExportConfig(engine="openvino"), "openvino"),
    "edge_ad, OpenVINO in bf16": (
        ExportConfig(engine="openvino", precision="bf16", accept_loss=True),
        "openvino",
    ),
}
LITE, RESNET = "efficientnet_lite0", "resnet18"
REFERENCE = "edge_ad's reference"
ANOMALIB = "anomalib, torch"


@dataclass(frozen=True, kw_only=True)
class Way:
    """One way to score an image.

    Attributes:
        name: in the record.
        environment: one of `benchmarks.peers.environments.ENVIRONMENTS`.
        command: module of ``children`` that runs there, and its arguments before the images.
        truth: whose scores it should give; its own name: there is nobody to ask.
        images_per_call: how many images it takes, no more and no fewer.
        refused: why there is nothing to run; None: there is.
    """

    name: str
    environment: str
    command: tuple[str, ...]
    truth: str
    images_per_call: int = 1
    refused: str | None = None


def imagenet_files() -> dict[str, str]:
    """The files of ImageNet's weights of the networks that both sides have."""
    return {LITE: str(published_weights(LITE)), RESNET: imagenet_resnet18()}


def our_way(network: str, artifact: Path) -> Way:
    """Ours on a network, through ONNX Runtime. Nobody else's scores are its truth."""
    name = f"edge_ad, {network}"
    command = ("edge_ad", str(artifact), "onnxruntime")
    return Way(name=name, environment="onnxruntime", command=command, truth=name)


def anomalib_way(name: str, kind: str, model: Path, made: dict[str, Any]) -> Way:
    """One of anomalib's models: with ``torch``, or its ONNX graph where there is no torch.

    Args:
        name: in the record, after the library's. It has scores of its own as its truth.
        kind: what `benchmarks.peers.children.anomalib` runs.
        model: the file.
        made: what that module said when it made the model.
    """
    name = f"anomalib, {name}"
    return Way(
        name=name,
        environment="anomalib" if kind == "torch" else "onnxruntime alone",
        command=("anomalib", kind, str(model)),
        truth=name,
        refused=made.get("refused"),
    )


def our_ways(fitted: FittedDetector, folder: Path) -> tuple[list[Way], dict[str, str]]:
    """Export a fit for each; why each has the search that it has."""
    ways, searches = [], {}
    for name, (config, engine) in OURS.items():
        artifact = folder / f"{name}.edgead"
        command = ("edge_ad", str(artifact), engine)
        way = Way(name=name, environment=engine, command=command, truth=REFERENCE)
        try:
            _, searches[name] = export(fitted, artifact, config).searches[0].split(": ", 1)
        except EdgeADError as exc:
            way = replace(way, refused=str(exc))
        ways.append(way)
    return ways, searches


def anomalib_ways(folder: Path, fit_there: dict[str, Any]) -> list[Way]:
    def way(name: str, kind: str, model: str, environment: str = "anomalib", batch: int = 1) -> Way:
        return Way(
            name=f"anomalib, {name}",
            environment=environment,
            command=("anomalib", kind, str(folder / model)),
            truth=REFERENCE if name == "torch" else ANOMALIB,
            images_per_call=batch,
            refused=fit_there.get("refused"),
        )

    as_exported = "default/weights/openvino/model.xml"
    for_one = "one/weights/openvino/model.xml"
    return [
        way("torch", "torch", "weights/torch/model.pt"),
        way(
            "OpenVINO as exported",
            "openvino",
            as_exported,
            batch=fit_there.get("exported_batch", 1),
        ),
        way("OpenVINO for one image", "openvino", for_one),
        way("OpenVINO for one image in float32", "openvino-f32", for_one),
        way("ONNX Runtime", "onnxruntime", "one/weights/onnx/model.onnx", "onnxruntime alone"),
    ]


def inspection_way(checkout: str, folder: Path, weights: str, fit_there: dict[str, Any]) -> Way:
    """patchcore-inspection has scores of its own: nobody else's are their truth."""
    return Way(
        name=INSPECTION,
        environment=INSPECTION,
        command=("inspection", checkout, str(folder), weights),
        truth=INSPECTION,
        refused=fit_there.get("refused"),
    )
