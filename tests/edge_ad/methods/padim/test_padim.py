"""PaDiM through every command, and on the device as its reference is."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

from edge_ad import FittedDetector, PadimConfig, PatchCoreConfig, ReferenceDetector, fit
from edge_ad_runtime import Detector
from edge_ad_runtime.commands.main import main
from edge_ad_runtime.errors import EdgeADWarning, FitError
from edge_ad_runtime.images import read_image

UNTRAINED = ["--weights", "untrained", "--size", "64x80", "--dimensions", "30"]
SMALL = PadimConfig(weights="untrained", size=(64, 80), dimensions=30)


def run(*arguments):
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return result.stdout


def refused(*arguments):
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == 1, result.output
    return result.stderr


@pytest.fixture(scope="module")
def fit_folder(parts, tmp_path_factory):
    folder = tmp_path_factory.mktemp("padim") / "a.fit"
    run("fit", parts / "train/good", "--method", "padim", "--out", folder, *UNTRAINED)
    return folder


@pytest.fixture(scope="module")
def artifact(fit_folder):
    path = fit_folder.with_name("a.edgead")
    run("export", fit_folder, "--out", path)
    return path


def agree(artifact, fitted, parts, tolerance=1e-4, **loading):
    """Scores and maps of all kinds of test images are the reference's."""
    reference = ReferenceDetector(fitted)
    with Detector.load(artifact, **loading) as detector:
        for path in sorted((parts / "test").glob("*/000.png")):
            image = read_image(path)
            found, expected = detector.predict(image), reference.predict(image)
            assert found.score == pytest.approx(expected.score, rel=tolerance)
            assert np.abs(found.map - expected.map).max() <= tolerance * expected.map.max()
            assert found.verdict == expected.verdict


def test_it_goes_through_every_command(artifact, parts):
    assert "verified" in run("verify", artifact)
    text = run("info", artifact)
    for words in ("padim (direct)", "dimensions 30", "reduction random", "leave-one-out"):
        assert words in text
    image = parts / "test/stain/000.png"
    record = json.loads(run("score", artifact, image, "--json", "--maps", artifact.parent / "maps"))
    assert record["score"] > 0
    assert (artifact.parent / "maps/000.png.png").exists()
    assert "postprocess" in run("profile", artifact, "--count", 2, "--warmup", 0)
    figures = json.loads(run("evaluate", artifact, parts, "--json"))
    assert figures["image_auroc"] > 0.5


def test_the_device_scores_as_the_reference_does(artifact, fit_folder, parts):
    agree(artifact, FittedDetector.load(fit_folder), parts)


@pytest.mark.parametrize(
    "settings",
    [
        {"size": (64, 64), "factor_precision": "float16", "calibration": "split"},
        {"size": (80, 64), "dimensions": 100},  # few images: V instead of triangles
        {"convention": "anomalib", "layers": (2, 3), "reduction": "pca"},
        {"reduction": "all", "layers": (1,), "dimensions": None},
    ],
    ids=str,
)
def test_the_device_scores_as_the_reference_does_with_other_settings(settings, parts, tmp_path):
    base = {"weights": "untrained", "size": (64, 80), "dimensions": 30}
    fitted = fit(parts / "train/good", PadimConfig(**{**base, **settings}))
    fitted.save(tmp_path / "a.fit")
    run("export", tmp_path / "a.fit", "--out", tmp_path / "a.edgead")
    agree(tmp_path / "a.edgead", fitted, parts)


def test_openvino_scores_as_the_reference_does(fit_folder, parts, tmp_path):
    pytest.importorskip("openvino", reason="openvino is not installed")
    run("export", fit_folder, "--out", tmp_path / "a.edgead", "--engine", "openvino")
    agree(tmp_path / "a.edgead", FittedDetector.load(fit_folder), parts, engine="openvino")


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_reduced_networks_are_learned_through_and_verify(precision, fit_folder, tmp_path):
    out = tmp_path / "a.edgead"
    run("export", fit_folder, "--out", out, "--precision", precision, "--accept-loss")
    assert "verified" in run("verify", out)


def test_patchcore_and_padim_answer_together(fit_folder, parts, tmp_path):
    other = PatchCoreConfig(weights="untrained", layers=(1, 2), size=(64, 80), coreset_fraction=0.1)
    fit(parts / "train/good", other).save(tmp_path / "b.fit")
    out = tmp_path / "both.edgead"
    run("export", tmp_path / "b.fit", fit_folder, "--out", out, "--threshold", "2")
    assert "verified" in run("verify", out)
    with Detector.load(out) as detector:
        good, stained = (
            detector.predict(parts / f"test/{kind}/000.png").score for kind in ("good", "stain")
        )
    assert good < stained


def test_all_images_are_learned_from_and_each_sets_the_threshold(fit_folder, parts):
    fitted = FittedDetector.load(fit_folder)
    assert not any(image.held_out for image in fitted.record.images)
    assert len(fitted.left_out_scores) == len(list((parts / "train/good").iterdir()))
    assert fitted.calibration.method == "leave-one-out"


@pytest.mark.parametrize("i", [0, 7])
def test_left_out_scores_are_those_of_fits_without_the_image(i, fit_folder, parts):
    paths = sorted((parts / "train/good").iterdir())
    alone = replace(SMALL, calibration="split", holdout_fraction=0.0)
    others = fit(paths[:i] + paths[i + 1 :], alone)
    expected = float(ReferenceDetector(others).trace(read_image(paths[i]))["score"])
    found = FittedDetector.load(fit_folder).record.images[i].left_out_score
    assert found == pytest.approx(expected, rel=1e-4)


def test_copies_set_no_threshold(parts, tmp_path):
    paths = sorted((parts / "train/good").iterdir())[:6]
    copied = shutil.copy(paths[2], tmp_path / "copy.png")
    with pytest.warns(EdgeADWarning, match="is a copy of"):
        fitted = fit([*paths, copied], SMALL)
    unscored = {i.path for i in fitted.record.images if i.left_out_score is None}
    assert unscored == {str(paths[2]), str(copied)}
    assert fitted.calibration.images == 5


def test_its_settings_come_back_with_the_fit_folder(fit_folder):
    fitted = FittedDetector.load(fit_folder)
    assert fitted.config == SMALL.resolved()
    assert fitted.record.method == "padim"


def test_two_images_are_enough_without_a_threshold_and_one_is_not(parts):
    paths = sorted((parts / "train/good").iterdir())
    fitted = fit(paths[:2], SMALL)
    assert fitted.record.calibration is None
    assert fit(paths[:3], SMALL).record.calibration is not None
    with pytest.raises(FitError, match="at least 2"):
        fit(paths[:1], SMALL)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--search", "hnsw"], "padim does not search"),
        (["--bank-precision", "float16"], "padim keeps no bank"),
    ],
)
def test_what_it_lacks_is_refused_and_not_ignored(options, message, fit_folder, tmp_path):
    assert message in refused("export", fit_folder, "--out", tmp_path / "b.edgead", *options)


def test_images_of_another_size_are_scored_at_the_fits(artifact, parts):
    image = read_image(parts / "test/good/000.png")
    with Detector.load(artifact) as detector:
        assert detector.predict(image[::2, ::2]).map.shape == (64, 80)
