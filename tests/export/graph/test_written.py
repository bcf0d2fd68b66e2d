"""Graphs whose tensors do not fit into one file: their data lie in another one."""

import json
from pathlib import Path

import numpy as np
import onnx
import pytest

from edge_ad import fit
from edge_ad.methods import METHODS
from edge_ad_export import export
from edge_ad_runtime import Detector
from edge_ad_runtime.artifact.manifest import FILE_NAME
from edge_ad_runtime.engines import Graph, open_engine
from edge_ad_runtime.errors import ArtifactError
from edge_ad_runtime.proof.verify import verify


@pytest.fixture
def fitted_histogram(parts, monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "edge_ad/methods")
    monkeypatch.setitem(METHODS, "histogram", "histogram")
    from histogram.settings import Settings

    return fit(parts / "train/good", Settings(size=(64, 80)))


@pytest.fixture
def artifact(fitted_histogram, tmp_path, monkeypatch):
    """One whose tail, of 7,680 bytes, does not fit, nor may it be serialised to be checked."""
    check = onnx.checker.check_model

    def check_file_or_bytes(model, **options):
        assert not isinstance(model, onnx.ModelProto), "above 2 GiB this raises"
        check(model, **options)

    monkeypatch.setattr("onnx.checker.check_model", check_file_or_bytes)
    monkeypatch.setattr("edge_ad_export.graph.written.MOST_IN_GRAPH_BYTES", 2000)
    export(fitted_histogram, tmp_path / "a.edgead")
    return tmp_path / "a.edgead"


def test_large_tensors_lie_beside_the_graph_and_the_scores_are_the_same(
    fitted_histogram, artifact, parts, tmp_path, monkeypatch
):
    monkeypatch.undo()
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "edge_ad/methods")
    monkeypatch.setitem(METHODS, "histogram", "histogram")
    export(fitted_histogram, tmp_path / "whole.edgead")
    raw = json.loads((artifact / FILE_NAME).read_text())
    assert raw["members"][0]["network"]["data"] == "network.onnx.data"
    assert (artifact / "network.onnx.data").stat().st_size > 7000
    assert not (tmp_path / "whole.edgead/network.onnx.data").exists()
    image = parts / "test/stain/000.png"
    with Detector.load(artifact) as apart, Detector.load(tmp_path / "whole.edgead") as whole:
        assert verify(apart).ok
        assert apart.predict(image).score == whole.predict(image).score


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_every_engine_finds_the_data(artifact, engine):
    pytest.importorskip(engine)
    found = open_engine(engine, Graph(onnx=artifact / "network.onnx"))
    image = np.random.default_rng(0).integers(0, 256, (1, 64, 80, 3), np.uint8)
    expected = Detector.load(artifact).engine.run(image)["anomaly"]
    np.testing.assert_allclose(found.run(image)["anomaly"], expected, atol=1e-5)


@pytest.mark.parametrize("damage", ["missing", "flipped"])
def test_data_that_are_not_as_exported_are_refused(artifact, damage):
    path = artifact / "network.onnx.data"
    content = bytearray(path.read_bytes())
    content[100] ^= 1
    path.unlink() if damage == "missing" else path.write_bytes(content)
    with pytest.raises(ArtifactError, match="missing|SHA-256"):
        Detector.load(artifact)


def test_data_in_a_file_that_the_manifest_does_not_name_are_refused(artifact):
    from edge_ad_runtime.artifact.graph_check import check_graph

    content = (artifact / "network.onnx").read_bytes()
    check_graph(content, data="network.onnx.data")
    for other in (None, "other.data", "../network.onnx.data"):
        with pytest.raises(ValueError, match="which no hash covers"):
            check_graph(content, data=other)
