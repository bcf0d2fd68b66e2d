"""One suite for all engines: what holds of one holds of every other that is installed here."""

import re
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from edge_ad_runtime.artifact.folder import GRAPH
from edge_ad_runtime.artifact.words import ENGINES
from edge_ad_runtime.engines import Graph, open_engine
from edge_ad_runtime.errors import EngineError
from edge_ad_runtime.heads.patch_search import FEATURES

ON_CPU = [name for name in ("onnxruntime", "openvino") if find_spec(name)]


@pytest.fixture(params=ON_CPU)
def name(request):
    return request.param


@pytest.fixture
def graph(tiny):
    return Graph(onnx=(tiny / GRAPH).read_bytes())


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(0, 256, (3, 64, 80, 3), np.uint8)


def test_says_what_it_is(name, graph):
    engine = open_engine(name, graph)
    assert (engine.name, engine.device) == (name, "cpu")
    assert engine.version[0].isdigit()


def test_gives_what_the_others_give(name, graph, images):
    expected = open_engine("onnxruntime", graph).run(images)[FEATURES]
    found = open_engine(name, graph).run(images)[FEATURES]
    assert (found.dtype, found.shape) == (np.float32, expected.shape)
    # float32 sums in another order; bfloat16 would be a thousand times farther off
    np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())


def test_an_image_alone_is_the_same_as_in_a_batch(name, graph, images):
    engine = open_engine(name, graph, threads=1)
    alone = np.concatenate([engine.run(image[np.newaxis])[FEATURES] for image in images])
    np.testing.assert_allclose(alone, engine.run(images)[FEATURES], atol=1e-5 * alone.max())


def test_what_it_gave_stays_as_it_is(name, graph, images):
    engine = open_engine(name, graph)
    first = engine.run(images[:1])[FEATURES]
    kept = first.copy()
    engine.run(images[1:2])
    np.testing.assert_array_equal(first, kept)


def test_several_threads_may_use_it(name, graph, images):
    engine = open_engine(name, graph, threads=1)
    expected = engine.run(images)[FEATURES]
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(lambda _: engine.run(images), range(16)):
            np.testing.assert_array_equal(found[FEATURES], expected)


def test_a_graph_that_it_cannot_read_is_refused(name):
    with pytest.raises(EngineError, match="refuses the graph"):
        open_engine(name, Graph(onnx=b"not a graph"))


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("shape", [(1, 8, 8, 3), (2, 64, 81, 3)])
def test_images_of_another_size_are_refused(name, graph, threads, shape):
    """On one thread OpenVINO gives no features of them, and says nothing."""
    engine = open_engine(name, graph, threads=threads)
    with pytest.raises(EngineError, match=rf"failed on images of shape {re.escape(str(shape))}"):
        engine.run(np.zeros(shape, np.uint8))


def test_all_outputs_of_a_graph_are_given_by_name(name, images):
    """A graph that searches itself gives the nearest rows too."""
    member = Path(__file__).parents[1] / "schema3/graph.edgead/features.onnx"
    found = open_engine(name, Graph(onnx=member.read_bytes())).run(images[:, :48, :64])
    assert {key: (value.dtype, value.shape) for key, value in found.items()} == {
        "features": (np.float32, (3, 12, 16, 64)),
        "rows": (np.int64, (3, 192, 3)),
    }


def test_a_closed_engine_runs_no_more(name, graph, images):
    engine = open_engine(name, graph)
    engine.close()
    with pytest.raises(EngineError):
        engine.run(images)


@pytest.mark.parametrize(
    ("name", "module", "extra"),
    [
        ("onnxruntime", "onnxruntime", "cpu"),
        ("onnxruntime-cuda", "onnxruntime", "gpu"),
        ("onnxruntime-tensorrt", "onnxruntime", "gpu"),
        ("openvino", "openvino", "openvino"),
    ],
)
def test_a_missing_engine_says_what_to_install(name, module, extra, graph, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(EngineError, match=rf"pip install 'edge-ad-runtime\[{extra}\]'"):
        open_engine(name, graph)


@pytest.mark.parametrize("name", [n for n in ENGINES if n.startswith("onnxruntime-")])
def test_a_gpu_that_is_not_there_is_an_error_and_not_the_cpu(name, graph):
    with pytest.raises(EngineError, match="ExecutionProvider"):
        open_engine(name, graph)
