"""Networks that compute in half precision, bfloat16 or 8-bit integers.

What comes before and after the backbone (normalisation, aggregation) stays float32, and so do the
features. A bf16 graph is the float32 graph: ONNX knows no convolution in bfloat16 at the opset
that everything reads, so it is the engine that computes in it.

An int8 graph carries Q/DQ pairs: scales per output channel for weights, one per tensor for
activations, from what held-out good images show. How the ranges are taken, and which convolutions
stay in float, is decided by the error of image scores on those images and on damaged copies of
them: the patch that decides the score of a defective part is the one that good images say least
about. Weights have 7 bits, unless the target is known to have room for sums of 8-bit products
(`edge_ad_runtime.device.settings.saturates_int8`). Fixed filters (`edge_ad.networks.scattering`)
stay in float: of the square roots of energies, 8 bits do not hold the small ones beside the large.
"""

from __future__ import annotations

import contextlib
import copy
import io
import logging
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnxruntime import quantization
from tqdm import tqdm

from edge_ad.features.patches import PatchFeatures, Run, extract
from edge_ad.fitting.fitted import FittedDetector
from edge_ad.methods.patchcore.bank import Bank, BankScorer
from edge_ad.synthetic.damage import with_damage
from edge_ad_export.graph.onnx_graph import checked, to_onnx
from edge_ad_export.settings import ExportConfig
from edge_ad_runtime.device.settings import saturates_int8
from edge_ad_runtime.engines import Graph, open_engine
from edge_ad_runtime.errors import ExportError

FEWEST_IMAGES = 8
_QUANTISED = ("Conv", "Add", "Relu", "MaxPool")
_RANGES = {
    "minmax": (quantization.CalibrationMethod.MinMax, {}),
    "percentile": (
        quantization.CalibrationMethod.Percentile,
        {"CalibPercentile": 99.999, "CalibNumBins": 2048},
    ),
    "entropy": (quantization.CalibrationMethod.Entropy, {}),
}
_IN_FLOAT = {
    "all quantised": (),
    "first convolution in float": (0,),
    "first and last convolution in float": (0, -1),
}
_NEAR = 1.2  # of the least score error: as good, and then the fewest float layers
_QUERIED = 8  # images that candidates are compared on, and as many damaged copies
_BANK_STEP = 3  # every third patch of the other images is their bank


def reduce(
    fitted: FittedDetector,
    network: PatchFeatures,
    graph: bytes,
    config: ExportConfig,
    *,
    progress: bool = False,
) -> tuple[bytes, str]:
    """The graph of ``network`` in ``config.precision``, and how it was made; ``graph`` is float32.

    Raises:
        ExportError: too few held-out images to calibrate with, or the quantiser refuses.
    """
    if config.precision == "int8":
        return _int8(fitted, network, graph, config, progress=progress)
    if config.precision == "fp16":
        network = copy.deepcopy(network)
        network.dtype = torch.float16
        network.backbone.half()
        graph = to_onnx(network, fitted.config.size)
    return graph, config.precision


def check_target(config: ExportConfig) -> None:
    """Refuse 8-bit weights where the bank would be learned through sums that are cut off.

    Raises:
        ExportError: this processor cuts them off.
    """
    if config.target != "any" and saturates_int8():
        raise ExportError(
            f"this processor has no VNNI and cuts off sums of 8-bit products, so that the bank for "
            f"--target {config.target} would be learned from other features than the device's; "
            "use --target any, or export on a machine with VNNI"
        )


def _int8(
    fitted: FittedDetector,
    network: PatchFeatures,
    graph: bytes,
    config: ExportConfig,
    *,
    progress: bool,
) -> tuple[bytes, str]:
    images = fitted.held_out
    if len(images) < FEWEST_IMAGES:
        raise ExportError(
            f"{len(images)} held-out good images are too few to calibrate int8 with, "
            f"{FEWEST_IMAGES} are needed; fit with more images or a larger --holdout-fraction"
        )
    graph = _with_scale_in_weights(graph)
    nodes = onnx.load_from_string(graph).graph.node
    in_float = _in_float(nodes)
    convolutions = [n.name for n in nodes if n.op_type == "Conv" and n.name not in in_float]
    if not convolutions:
        raise ExportError(
            f"the backbone {fitted.config.resolved_backbone!r} is fixed filters alone, which int8 "
            "would spoil; use fp16 or bf16, or another backbone"
        )
    trial = _Trial(fitted, images, partial(extract, network), config.seed)
    candidates: list[tuple[float, str, bytes]] = []
    options = list(product(_IN_FLOAT, _RANGES))
    with _quiet(), tempfile.TemporaryDirectory() as folder:
        for kept, ranges in tqdm(options, "int8", unit="candidate", disable=not progress):
            names = [*in_float, *(convolutions[i] for i in _IN_FLOAT[kept])]
            quantised = _quantise(graph, images, ranges, names, config, Path(folder))
            error = trial.error(open_engine("onnxruntime", Graph(onnx=quantised)).run)
            candidates.append((error, f"{ranges}, {kept}", quantised))
    best = min(error for error, _, _ in candidates)
    # the candidates with fewer float layers come first
    near = next(c for c in candidates if c[0] <= _NEAR * best)
    tried = "; ".join(f"{name} {error:.2%}" for error, name, _ in candidates)
    made = f"int8 for {config.target}, {near[1]}"
    return near[2], f"{made}; score errors of all that were tried: {tried}"


def _with_scale_in_weights(graph: bytes) -> bytes:
    """The division of the input by ``std`` as part of the first convolution's weights.

    A pass over the image less; padding stays what it was, as zero divided is zero.
    """
    model = onnx.load_from_string(graph)
    nodes, constants = model.graph.node, {c.name: c for c in model.graph.initializer}
    (division,) = (node for node in nodes if node.op_type == "Div" and node.input[1] == "std")
    readers = [node for node in nodes if division.output[0] in node.input]
    if [node.op_type for node in readers] != ["Conv"]:
        return graph
    std = onnx.numpy_helper.to_array(constants["std"])  # (3, 1, 1)
    weights = constants[readers[0].input[1]]  # (out, 3, height, width)
    scaled = onnx.numpy_helper.to_array(weights) / std
    weights.CopyFrom(onnx.numpy_helper.from_array(scaled, weights.name))
    readers[0].input[0] = division.input[0]
    nodes.remove(division)
    model.graph.initializer.remove(constants["std"])
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
    # TensorRT takes zero points of 0 only; processors multiply uint8 by int8
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
            # nor biases of 32-bit integers
            extra_options={
                "ActivationSymmetric": symmetric,
                "QuantizeBias": not symmetric,
                **settings,
            },
        )
    except Exception as exc:  # its exception types are many
        raise ExportError(f"the network cannot be quantised: {exc}") from exc
    return out.read_bytes()


def _in_float(nodes: Iterable[onnx.NodeProto]) -> set[str]:
    """Names of what is not the trained part of the backbone: what comes before it, and after."""
    trained: set[str] = set()  # what it has reached
    names = set()
    for node in nodes:  # in the order of computation
        weights = {n for n in node.input if n.startswith("backbone.") and n.endswith(".weight")}
        if weights or trained.intersection(node.input):
            trained.update(node.output)
        else:
            names.add(node.name)
        if any(n.startswith(("aggregation.", "whitening.")) for n in node.input):
            names.add(node.name)
    return names


class _Images:
    """One at a time, as the quantiser asks for them."""

    def __init__(self, images: NDArray[np.uint8]) -> None:
        self._each = iter(images)

    def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
        image = next(self._each, None)
        return None if image is None else {"image": image[np.newaxis]}


class _Trial:
    """Scores of some held-out images and damaged copies, against a bank of the other images."""

    def __init__(
        self, fitted: FittedDetector, images: NDArray[np.uint8], run: Run, seed: int
    ) -> None:
        queried = min(_QUERIED, len(images) // 2)
        self._scoring = replace(fitted.config.scoring, reweight_neighbours=0)
        self._bank_images = images[queried:]
        self._queries = list(with_damage(images[:queried], seed))
        self._expected = self._scores(run)

    def error(self, run: Run) -> float:
        """Mean relative error of the scores; the bank is the network's own."""
        return float(np.abs(self._scores(run) / self._expected - 1).mean())

    def _scores(self, run: Run) -> NDArray[np.float64]:
        features = np.concatenate([run(image[np.newaxis]) for image in self._bank_images])
        patches = features.reshape(-1, features.shape[-1])[::_BANK_STEP]
        scorer = BankScorer(Bank(features=patches, neighbours=None), self._scoring)
        return np.array([scorer.score(run(image[np.newaxis]))[1] for image in self._queries])


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the quantiser's advice on how to preprocess, which has been done, and its prints."""
    logger = logging.getLogger()
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logger.setLevel(level)
