"""What TensorRT takes of what we export, and how int8 graphs must be quantised for it."""

import numpy as np
import pytest
from onnxruntime import quantization

from edge_ad import PatchCoreConfig
from edge_ad.features.patches import build_network
from edge_ad_export.graph.onnx_graph import to_onnx
from edge_ad_export.graph.search_in_graph import with_search
from edge_ad_runtime.engines import Graph
from edge_ad_runtime.engines.tensorrt.build import build_plan
from edge_ad_runtime.engines.tensorrt.library import open_library
from edge_ad_runtime.errors import EngineError

pytest.importorskip("tensorrt_rtx")

CONFIG = PatchCoreConfig(weights="untrained", layers=(1,), size=(64, 80), seed=1)


@pytest.fixture(scope="module")
def network():
    network = build_network(CONFIG)
    for name, values in network.state_dict().items():
        if name.endswith("bias"):  # untrained, they are 0 and left out
            values.uniform_(-0.1, 0.1)
    return network


@pytest.fixture(scope="module")
def fp32(network):
    return to_onnx(network, CONFIG.size)


@pytest.fixture(scope="module")
def fp16(network):
    return to_onnx(network.in_half(), CONFIG.size)


class Images:
    def __init__(self):
        images = np.random.default_rng(0).integers(0, 256, (2, 1, *CONFIG.size, 3), np.uint8)
        self.each = iter(images)

    def get_next(self):
        image = next(self.each, None)
        return None if image is None else {"image": image}


@pytest.fixture
def quantised(fp32, tmp_path):
    def quantise(**options):
        (tmp_path / "fp32.onnx").write_bytes(fp32)
        quantization.quantize_static(
            tmp_path / "fp32.onnx",
            tmp_path / "int8.onnx",
            Images(),
            op_types_to_quantize=["Conv", "Add", "Relu", "MaxPool"],
            per_channel=True,
            activation_type=quantization.QuantType.QInt8,
            extra_options={"ActivationSymmetric": True, "QuantizeBias": False, **options},
        )
        return (tmp_path / "int8.onnx").read_bytes()

    return quantise


def build(onnx):
    return build_plan(open_library("tensorrt_rtx"), Graph(onnx=onnx), capability=(8, 9))


@pytest.mark.parametrize("graph", ["fp32", "fp16"])
@pytest.mark.parametrize("k", [1, 3])
def test_a_graph_that_searches_is_built(graph, k, request):
    features = request.getfixturevalue(graph)
    bank = np.random.default_rng(0).standard_normal((9000, 64), dtype=np.float32)  # two pieces
    assert b'"rows.1"' in build(with_search(features, bank, k))


def test_half_precision_is_built_and_smaller(fp32, fp16):
    assert len(build(fp16)) < 0.8 * len(build(fp32))


def test_int8_is_built_with_zero_points_of_0_and_biases_in_float(quantised):
    assert b"accelerators={sm89 }" in build(quantised())


def test_int8_with_other_zero_points_is_refused(quantised):
    with pytest.raises(EngineError, match="refuses .*Non-zero zero point .*QuantizeLinear"):
        build(quantised(ActivationSymmetric=False))


def test_int8_with_quantised_biases_is_refused(quantised):
    with pytest.raises(EngineError, match="refuses .*bias_DequantizeLinear.* type Int32"):
        build(quantised(QuantizeBias=True))
