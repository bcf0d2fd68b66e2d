"""Networks that compute in 8-bit integers.

A graph carries Q/DQ pairs. Weights have a scale per output channel and activations one per tensor,
taken from what held-out good images show. How the ranges are taken, and which convolutions stay in
float, is decided by the error of image scores on those images and on damaged copies of them. The
damaged copies are needed because the patch that decides the score of a defective part is the one
that good images say least about. Weights have 7 bits, unless the target is known to have room for
sums of 8-bit products (`edge_ad_runtime.device.machine.saturates_int8`).

What the method wants in float stays in float, and so does whatever comes before the first weight.
Fixed filters (`edge_ad.networks.scattering`) have no weights. They stay in float because 8 bits do
not hold the small square roots of energies beside the large.
"""

from __future__ import annotations

import contextlib
import io
import logging
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime import quantization

from edge_ad.fitting.fitted import FittedDetector
from edge_ad.methods import Lowered
from edge_ad.networks.run import TorchRun
from edge_ad_export.graph.onnx_graph import checked
from edge_ad_export.precision.trial import Trial
from edge_ad_export.settings import ExportConfig
from edge_ad_runtime.engines import INPUT, Graph, open_engine
from edge_ad_runtime.errors import ExportError
from edge_ad_runtime.progress import ProgressBar

FEWEST_IMAGES = 8
_QUANTISED = ("Conv", "Add", "Relu", "Clip", "MaxPool")
_RANGES = {
    "minmax": (quantization.CalibrationMethod.MinMax, {}),
    "percentile": (
        quantization.CalibrationMethod.Percentile,
        {"CalibPercentile": 99.999, "CalibNumBins": 2048},
    ),
    "entropy": (quantization.CalibrationMethod.Entropy, {}),
}
_IN_FLOAT: dict[str, tuple[int, ...]] = {
    "all quantised": (),
    "first convolution in float": (0,),
    "first and last convolution in float": (0, -1),
}
# A depthwise convolution sees one channel at a time, so that it cannot average out what 8 bits do
# to a channel of small values beside large ones. In EfficientNet-Lite0 two thirds of the whole
# error are of the first two blocks, which take no longer in float.
_IN_FLOAT_OF_DEPTHWISE: dict[str, tuple[int, ...]] = {
    "all quantised": (),
    "first convolution in float": (0,),
    "first three convolutions in float": tuple(range(3)),
    "first six convolutions in float": tuple(range(6)),
}
_BEHIND = 1.5  # times the least error with as many layers in float: ranges this bad are given up
_NEAR = 1.2  # up to so many times the least score error is as good, and fewest float layers win


def to_int8(
    fitted: FittedDetector,
    lowered: Lowered,
    graph: bytes,
    config: ExportConfig,
    *,
    progress: bool,
) -> tuple[bytes, str]:
    """The graph in 8-bit integers, and how it was made.

    Raises:
        ExportError: there are too few held-out images to calibrate with, there is nothing to
            quantise, or the quantiser refuses.
    """
    images = fitted.held_out
    if len(images) < FEWEST_IMAGES:
        raise ExportError(
            f"{len(images)} held-out good images are too few to calibrate int8 with, "
            f"{FEWEST_IMAGES} are needed; fit with more images or a larger --holdout-fraction"
        )
    graph = _with_scale_in_weights(graph)
    model = onnx.load_from_string(graph)
    nodes = model.graph.node
    in_float = _in_float(nodes, lowered.in_float)
    convolutions = [n for n in nodes if n.op_type == "Conv" and n.name not in in_float]
    if not convolutions:
        raise ExportError(
            f"the network ({_origin(lowered)}) is fixed filters alone, which int8 would spoil; use "
            "fp16 or bf16, or another network"
        )
    trial = Trial(fitted, lowered.network, TorchRun(lowered.network), config.seed)
    candidates: list[tuple[float, str, bytes]] = []
    kept_in_float = _IN_FLOAT_OF_DEPTHWISE if _any_depthwise(model, convolutions) else _IN_FLOAT
    ranges_left = list(_RANGES)
    bar = ProgressBar[None](
        total=len(kept_in_float) * len(_RANGES), desc="int8", unit="candidate", disable=not progress
    )
    with _quiet(), tempfile.TemporaryDirectory() as folder, bar:
        for kept, which in kept_in_float.items():
            names = [*in_float, *(convolutions[i].name for i in which)]
            errors = {}
            for ranges in ranges_left:
                bar.begin(f"{ranges}, {kept}")
                quantised = _quantise(graph, images, ranges, names, config, Path(folder))
                errors[ranges] = trial.error(open_engine("onnxruntime", Graph(onnx=quantised)).run)
                candidates.append((errors[ranges], f"{ranges}, {kept}", quantised))
                bar.update()
            ranges_left = _with_a_chance(errors)
    best = min(error for error, _, _ in candidates)
    # the candidates with fewer float layers come first
    near = next(c for c in candidates if c[0] <= _NEAR * best)
    most = max(error for error, _, _ in candidates)
    return near[2], (
        f"int8 for {config.target}, {near[1]}; score error {near[0]:.2%}, of the {len(candidates)} "
        f"candidates tried {best:.2%} to {most:.2%}"
    )


def _with_a_chance(errors: Mapping[str, float]) -> list[str]:
    """The ways to choose ranges that more layers in float may still make the best.

    Layers in float help each way about as much, so that one that is far behind stays behind.

    >>> _with_a_chance({"minmax": 0.06, "percentile": 0.026, "entropy": 0.03})
    ['percentile', 'entropy']
    """
    best = min(errors.values())
    return [ranges for ranges, error in errors.items() if error <= _BEHIND * best]


def _any_depthwise(model: onnx.ModelProto, convolutions: Iterable[onnx.NodeProto]) -> bool:
    shapes = {constant.name: constant.dims for constant in model.graph.initializer}
    # (out, in of a group, height, width)
    return any(shapes[n.input[1]][1] == 1 for n in convolutions if n.input[1] in shapes)


def _origin(lowered: Lowered) -> str:
    return ", ".join(f"{key} {text}" for key, text in lowered.origin.items())


def _with_scale_in_weights(graph: bytes) -> bytes:
    """Move the division of the input's channels into the first convolution's weights.

    This saves a pass over the image. Padding stays what it was, because zero divided is zero.
    """
    model = onnx.load_from_string(graph)
    nodes, constants = model.graph.node, {c.name: c for c in model.graph.initializer}
    for division in [node for node in nodes if node.op_type == "Div"]:
        readers = [node for node in nodes if division.output[0] in node.input]
        divisor = constants.get(division.input[1])
        if divisor is None or [node.op_type for node in readers] != ["Conv"]:
            continue
        values = onnx.numpy_helper.to_array(divisor)  # (3, 1, 1)
        weights = constants[readers[0].input[1]]  # (out, 3, height, width)
        if values.shape != (weights.dims[1], 1, 1):
            continue
        scaled = onnx.numpy_helper.to_array(weights) / values
        weights.CopyFrom(onnx.numpy_helper.from_array(scaled, weights.name))
        readers[0].input[0] = division.input[0]
        nodes.remove(division)
        model.graph.initializer.remove(divisor)
    return checked(model)


def _quantise(
    graph: bytes,
    images: NDArray[np.uint8],
    ranges: str,
    in_float: list[str],
    config: ExportConfig,
    folder: Path,
) -> bytes:
    method, settings = _RANGES[ranges]
    # TensorRT takes zero points of 0 only, and processors multiply uint8 by int8
    symmetric = config.engine in ("tensorrt", "onnxruntime-tensorrt")
    model = onnx.load_from_string(graph)
    out = folder / "int8.onnx"
    try:
        quantization.quantize_static(
            model,
            out,
            _Images(images),
            op_types_to_quantize=list(_QUANTISED),
            nodes_to_exclude=in_float,
            per_channel=True,
            reduce_range=config.target == "any",  # weights of 7 bits
            activation_type=quantization.QuantType.QInt8
            if symmetric
            else quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
            calibrate_method=method,
            # TensorRT takes no biases of 32-bit integers
            extra_options={
                "ActivationSymmetric": symmetric,
                "QuantizeBias": not symmetric,
                **settings,
            },
        )
    except Exception as exc:  # its exception types are many
        raise ExportError(f"the network cannot be quantised: {exc}") from exc
    return out.read_bytes()


def _in_float(nodes: Iterable[onnx.NodeProto], modules: Sequence[str]) -> set[str]:
    """The names of the nodes that are not quantised.

    These are the nodes of ``modules`` and those that no weight has reached yet. Constants of a
    graph keep the names that torch gave them, which begin with their module's.
    """
    prefixes = tuple(f"{module}." for module in modules)
    trained: set[str] = set()  # what weights have reached
    names = set()
    for node in nodes:  # in the order of computation
        own = any(name.startswith(prefixes) for name in node.input) if prefixes else False
        weights = {n for n in node.input if n.endswith(".weight") and not n.startswith(prefixes)}
        if weights or trained.intersection(node.input):
            trained.update(node.output)
        else:
            names.add(node.name)
        if own:
            names.add(node.name)
    return names


class _Images:
    """The images one at a time, as the quantiser asks for them."""

    def __init__(self, images: NDArray[np.uint8]) -> None:
        self._each = iter(images)

    def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
        image = next(self._each, None)
        return None if image is None else {INPUT: image[np.newaxis]}


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence the quantiser's prints, and its advice on how to preprocess, which has been done."""
    logger = logging.getLogger()
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logger.setLevel(level)
