"""The proof of the house: a method is a folder and a line, and all commands know it.

``docs/adding-a-method.md`` goes through the folder ``histogram``.
"""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from edge_ad import FittedDetector, ReferenceDetector
from edge_ad.methods import METHODS
from edge_ad_runtime import Detector
from edge_ad_runtime.commands.main import main
from edge_ad_runtime.images import read_image

SIZE = ["--size", "64x80"]


@pytest.fixture
def histogram(monkeypatch):
    """The method, known by its one line."""
    monkeypatch.syspath_prepend(Path(__file__).parent)
    monkeypatch.setitem(METHODS, "histogram", "histogram")


def run(*arguments):
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture
def artifact(histogram, parts, tmp_path):
    run("fit", parts / "train/good", "--method", "histogram", "--out", tmp_path / "a.fit", *SIZE)
    run("export", tmp_path / "a.fit", "--out", tmp_path / "a.edgead")
    return tmp_path / "a.edgead"


def test_a_toy_method_goes_through_every_command(artifact, parts):
    assert "verified" in run("verify", artifact)
    assert "histogram (direct)" in run("info", artifact)
    image = parts / "test/stain/000.png"
    record = json.loads(run("score", artifact, image, "--json", "--maps", artifact.parent / "maps"))
    assert record["score"] > 0
    assert "exact" not in record  # what only PatchCore's head knows
    assert (artifact.parent / "maps/000.png.png").exists()
    assert "postprocess" in run("profile", artifact, "--count", 2, "--warmup", 0)
    assert "network p50" in run("profile", artifact, "--compare", artifact, "--count", 2)
    figures = json.loads(run("evaluate", artifact, parts, "--json"))
    assert figures["image_auroc"] > 0.5


def test_a_toy_method_scores_on_the_device_as_its_reference_does(artifact, parts):
    reference = ReferenceDetector(FittedDetector.load(artifact.parent / "a.fit"))
    with Detector.load(artifact) as detector:
        assert [stage.name for stage in detector.members[0].head.stages] == [
            *("anomaly", "map", "score")
        ]
        for path in sorted((parts / "test").glob("*/000.png")):
            image = read_image(path)
            found, expected = detector.predict(image), reference.predict(image)
            assert found.score == pytest.approx(expected.score, rel=1e-5)
            assert np.allclose(found.map, expected.map, atol=1e-5)
            assert found.verdict == expected.verdict


def test_its_settings_come_back_with_the_fit_folder(artifact):
    fitted = FittedDetector.load(artifact.parent / "a.fit")
    assert (fitted.record.method, vars(fitted.config)["bins"], fitted.config.size) == (
        *("histogram", 8), (64, 80),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--search", "hnsw"], "histogram does not search"),
        (["--bank-precision", "float16"], "histogram keeps no bank"),
        (["--precision", "fp16"], "histogram has no network in half precision"),
    ],
)
def test_what_a_method_lacks_is_refused_and_not_ignored(artifact, options, message):
    fit, out = artifact.parent / "a.fit", artifact.parent / "b.edgead"
    result = CliRunner().invoke(main, ["export", str(fit), "--out", str(out), *options])
    assert result.exit_code == 1
    assert message in result.stderr
    assert not out.exists()
