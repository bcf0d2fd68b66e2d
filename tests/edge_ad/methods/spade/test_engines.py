"""Every engine gives the pooled feature and those of the positions, alone and in a batch."""

from importlib.util import find_spec

import numpy as np
import pytest

from edge_ad.features.layers import pretrained
from edge_ad.methods.spade.network import PooledAndLayers
from edge_ad.networks.run import TorchRun
from edge_ad_export.graph.onnx_graph import to_onnx
from edge_ad_runtime.engines import Graph, open_engine
from edge_ad_runtime.engines.tensorrt.build import build_plan
from edge_ad_runtime.engines.tensorrt.library import open_library

ON_CPU = [name for name in ("onnxruntime", "openvino") if find_spec(name)]


@pytest.fixture(scope="module")
def network(config):
    return PooledAndLayers(pretrained(config), (1, 2), 2).eval()


@pytest.mark.parametrize("engine", ON_CPU)
@pytest.mark.parametrize("size", [(64, 80), (64, 64)])
def test_all_outputs_are_those_of_torch(network, engine, size):
    images = np.random.default_rng(0).integers(0, 256, (3, *size, 3), np.uint8)
    expected = TorchRun(network)(images)
    opened = open_engine(engine, Graph(onnx=to_onnx(network, size)))
    for batch in (slice(0, 3), slice(1, 2)):
        found = opened.run(images[batch])
        assert found.keys() == expected.keys() == {"pooled", "layer1", "layer2"}
        for name, values in expected.items():
            # float32 sums in another order
            np.testing.assert_allclose(found[name], values[batch], atol=1e-5 * values.max())
    opened.close()


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_tensorrt_rtx_builds_the_graph(network, precision):
    pytest.importorskip("tensorrt_rtx")
    graph = to_onnx(network if precision == "fp32" else network.in_half(), (64, 80))
    plan = build_plan(open_library("tensorrt_rtx"), Graph(onnx=graph), capability=(8, 9))
    for name in ("pooled", "layer1", "layer2"):
        assert name.encode() in plan
