"""PaDiM's graphs in every engine: what was learned through the network is a tail of its graph."""

from importlib.util import find_spec

import numpy as np
import onnx
import pytest
import torch

from edge_ad import PadimConfig
from edge_ad.images.good import GoodImages
from edge_ad.methods.padim.method import METHOD
from edge_ad.networks.run import TorchRun
from edge_ad_export.graph.appended import appended
from edge_ad_export.graph.onnx_graph import checked, to_onnx
from edge_ad_runtime.engines import Graph, open_engine
from edge_ad_runtime.errors import EdgeADError
from edge_ad_runtime.heads import Opening, open_head
from edge_ad_runtime.heads.in_memory import InMemory

SIZE = (64, 80)
IMAGES = np.random.default_rng(0).integers(0, 256, (8, *SIZE, 3), np.uint8)
KINDS = {
    "triangles": {"dimensions": 20, "reduction": "pca"},
    "half": {"dimensions": 20, "factor_precision": "float16"},
    "few": {"dimensions": 100},
}
ENGINES = [name for name in ("onnxruntime", "openvino") if find_spec(name)]


class Learned:
    """A graph, and what torch makes of the same images."""

    def __init__(self, kind):
        settings = PadimConfig(backbone="resnet18", weights="untrained", size=SIZE, **KINDS[kind])
        images = GoodImages.in_memory(IMAGES, settings.preprocessing)
        network = METHOD.train(images, settings, progress=False)
        run = TorchRun(network)
        kept = METHOD.gather(run, images, settings, progress=False).kept
        assert kept.are_of_few == (kind == "few")
        self.lowered = METHOD.lower(network, kept, settings)
        tail = self.lowered.tail
        assert tail is not None
        self.onnx = checked(appended(to_onnx(network, SIZE), tail))
        with torch.inference_mode():
            outputs = network(torch.from_numpy(IMAGES[::-1].copy()))
            self.expected = tail(**outputs)["anomaly"].numpy()


@pytest.fixture(scope="module", params=KINDS)
def learned(request):
    return Learned(request.param)


@pytest.mark.parametrize("name", ENGINES)
def test_an_engine_gives_what_torch_gives_alone_and_in_a_batch(name, learned):
    engine = open_engine(name, Graph(onnx=learned.onnx), threads=1)
    tolerance = 1e-4 * learned.expected.max()
    images = IMAGES[::-1].copy()
    found = engine.run(images)["anomaly"]
    assert (found.dtype, found.shape) == (np.float32, (8, 16, 20))
    np.testing.assert_allclose(found, learned.expected, atol=tolerance)
    alone = np.concatenate([engine.run(image[np.newaxis])["anomaly"] for image in images])
    np.testing.assert_allclose(alone, learned.expected, atol=tolerance)


def test_tensorrt_builds_a_plan_of_it(learned):
    pytest.importorskip("tensorrt_rtx")
    from edge_ad_runtime.engines.tensorrt.build import build_plan
    from edge_ad_runtime.engines.tensorrt.library import open_library

    plan = build_plan(open_library("tensorrt_rtx"), Graph(onnx=learned.onnx), capability=(8, 9))
    assert b"accelerators={sm89 }" in plan


def test_half_precision_is_half_the_size():
    model = onnx.load_from_string(Learned("half").onnx)
    factors = [c for c in model.graph.initializer if "blocks" in c.name]
    assert [c.data_type for c in factors] == [onnx.TensorProto.FLOAT16]


def test_factors_that_are_not_finite_never_make_a_good_image():
    learned = Learned("triangles")
    model = onnx.load_from_string(learned.onnx)
    (block,) = (c for c in model.graph.initializer if "blocks" in c.name)
    values = onnx.numpy_helper.to_array(block).copy()
    values[7, 0, 0] = np.nan
    block.CopyFrom(onnx.numpy_helper.from_array(values, block.name))
    outputs = open_engine("onnxruntime", Graph(onnx=model.SerializeToString())).run(IMAGES[:1])
    head = open_head(learned.lowered.head, InMemory({}), Opening(size=SIZE))
    with pytest.raises(EdgeADError, match="not finite"):
        head.judge({name: value[0] for name, value in outputs.items()}, with_map=False)
