"""Artifacts of energies that somebody has changed and sealed anew."""

import json
import shutil

import pytest

from edge_ad_runtime import Detector
from edge_ad_runtime.artifact import strict
from edge_ad_runtime.artifact.manifest import FILE_NAME
from edge_ad_runtime.artifact.schema import Manifest
from edge_ad_runtime.errors import ArtifactError, EdgeADError
from edge_ad_runtime.proof.verify import verify


@pytest.fixture
def resealed(artifact, tmp_path):
    """A copy with another manifest, as an attacker could write it."""

    def change(edit):
        folder = tmp_path / "changed.edgead"
        shutil.copytree(artifact, folder)
        raw = json.loads((folder / FILE_NAME).read_text(encoding="utf-8"))
        edit(raw)
        text = strict.parse(Manifest, raw).sealed().to_text()
        (folder / FILE_NAME).write_text(text, encoding="utf-8")
        return folder

    return change


def head(raw):
    return raw["members"][0]["head"]


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda m: head(m).update(output="energy", beside=[]), "gives energy as"),
        (lambda m: head(m).pop("output"), "gives anomaly as None"),
        (lambda m: head(m).update(beside=["energies"]), "gives energies as None"),
        (lambda m: head(m).update(beside=["gradient_norm"]), "gives gradient_norm as None"),
        (lambda m: head(m).update(grid=[8, 9]), "gives gradient as"),
        (lambda m: head(m).update(score="given"), "gives score as None"),
        (lambda m: head(m).pop("beside"), "tolerances are of"),
    ],
)
def test_a_head_that_does_not_fit_the_network_is_refused(edit, message, resealed):
    folder = resealed(edit)
    with pytest.raises(ArtifactError, match=message):
        Detector.load(folder).close()


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda m: head(m).update(output="score"), "expected different names"),
        (lambda m: head(m).update(beside=["gradient"]), "expected different names"),
        (lambda m: head(m).update(beside=["energy"] * 9), "beside"),
        (lambda m: head(m).update(output="../network"), "output"),
        (lambda m: head(m).update(beside=[["energy"]]), "beside"),
        (lambda m: head(m).update(output=3), "output"),
    ],
)
def test_a_head_that_cannot_be_is_refused_when_it_is_read(edit, message, resealed):
    with pytest.raises(ValueError, match=message):
        resealed(edit)


def test_another_blur_does_not_verify(resealed):
    folder = resealed(lambda m: head(m)["map"].update(blur_sigma_px=3.0))
    with Detector.load(folder) as detector:
        failure = verify(detector).first_failure
    assert failure is not None
    assert failure.stage == "map"


def test_a_graph_of_other_weights_is_refused_by_its_hash(artifact, tmp_path):
    shutil.copytree(artifact, tmp_path / "a.edgead")
    graph = tmp_path / "a.edgead/network.onnx"
    content = bytearray(graph.read_bytes())
    content[len(content) // 2] ^= 1
    graph.write_bytes(content)
    with pytest.raises(EdgeADError, match="SHA-256"):
        Detector.load(tmp_path / "a.edgead")
