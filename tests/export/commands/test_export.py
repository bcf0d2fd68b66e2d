"""The whole path as a user types it."""

import json
import shutil
import subprocess
import sys

import pytest
from click.testing import CliRunner

from edge_ad_runtime.commands.main import main

FIT = ("--weights", "untrained", "--layers", "1,2", "--size", "64x80", "--coreset-fraction", "0.05")


def run(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def artifact(parts, tmp_path_factory):
    folder = tmp_path_factory.mktemp("Linie 3 ü")
    result = run("fit", parts / "train/good", "--out", folder / "plate.fit", *FIT)
    assert result.exit_code == 0, result.output
    assert "UNTRAINED" in result.stderr
    assert "of good parts rejected" in result.stdout
    assert "is the smallest rate so many images support" in result.stdout
    result = run("export", folder / "plate.fit", "--out", folder / "plate.edgead")
    assert result.exit_code == 0, result.output
    assert "verified on 6 reference images" in result.stdout  # 3 left out, each damaged once
    return folder / "plate.edgead"


def test_the_packages_own_weights_need_no_download_and_info_names_them(parts, tmp_path):
    own = ("--backbone", "procedural", "--weights", "default", "--layers", "2,3")
    settings = (*FIT, *own)
    result = run("fit", parts / "train/good", "--out", tmp_path / "plate.fit", *settings)
    assert result.exit_code == 0, result.output
    assert "weights: of drawn images alone" in result.stderr
    result = run("export", tmp_path / "plate.fit", "--out", tmp_path / "plate.edgead")
    assert result.exit_code == 0, result.output
    assert (
        "fp32, backbone procedural, weights default"
        in run("info", tmp_path / "plate.edgead").stdout
    )
    assert run("verify", tmp_path / "plate.edgead").exit_code == 0


def test_evaluate_json_has_the_promised_fields(artifact, parts):
    result = run("evaluate", artifact, parts, "--json")
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert {"image_auroc", "pixel_auroc", "pro", "f1_best", "images"} <= set(report)
    assert report["images"] == 12
    assert report["masks"] == 8
    assert report["true_goods"] + report["false_rejects"] == 4
    assert report["detected"] + report["missed"] == 8
    assert [kind["kind"] for kind in report["by_kind"]] == ["dent", "misprint", "scratch", "stain"]


def test_evaluate_prints_a_table_and_writes_a_report_with_pictures(artifact, parts, tmp_path):
    result = run("evaluate", artifact, parts, "--report", tmp_path / "report")
    assert result.exit_code == 0
    assert "image AUROC" in result.stdout
    html = (tmp_path / "report/index.html").read_text()
    for pattern in ("curves.png", "images/????-good-000.jpg", "images/????-stain-000.jpg"):
        pictures = list((tmp_path / "report").glob(pattern))
        assert pictures
        for picture in pictures:
            assert f'src="{picture.relative_to(tmp_path / "report")}"' in html
            assert picture.stat().st_size > 1000
    assert run("evaluate", artifact, parts, "--report", tmp_path / "report").exit_code == 1


def test_a_fit_without_held_out_images_needs_a_threshold_to_be_exported(parts, tmp_path):
    fit = ("fit", parts / "train/good", "--out", tmp_path / "few.fit", "--shots", 2)
    result = run(*fit, "--calibration", "split", "--holdout-fraction", 0, *FIT)
    assert "no threshold, no image was left out" in result.stdout
    export = ("export", tmp_path / "few.fit", "--out", tmp_path / "few.edgead")
    refused = run(*export)
    assert refused.exit_code == 1
    assert "there is no threshold; export with --threshold" in refused.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["few.fit"]
    assert run(*export, "--threshold", 1e-6).exit_code == 0
    info = run("info", tmp_path / "few.edgead").stdout
    assert "1e-06 (given, 0 good images)" in info
    assert "unknown: it carries no scores of good images" in info
    line = json.loads(
        run("score", tmp_path / "few.edgead", parts / "test/good", "--json").stdout.splitlines()[0]
    )
    assert (line["threshold"], line["verdict"]) == (1e-6, "anomalous")


def test_several_fits_become_an_ensemble(parts, tmp_path):
    names = []
    for layers in ("1", "1,2"):
        names.append(tmp_path / f"layers {layers}.fit")
        settings = (*FIT, "--layers", layers, "--holdout-fraction", 0.5)
        assert run("fit", parts / "train/good", "--out", names[-1], *settings).exit_code == 0
    result = run("export", *names, "--out", tmp_path / "both.edgead")
    assert result.exit_code == 0, result.output
    assert result.stdout.count("search ") >= 2
    info = run("info", tmp_path / "both.edgead").stdout
    assert (
        "network 2      fp32, backbone resnet18, weights untrained, layers 1, 2, patch size 3; sco"
        in info
    )
    assert run("verify", tmp_path / "both.edgead").exit_code == 0


def test_evaluate_without_masks_says_so(artifact, parts, tmp_path):
    shutil.copytree(parts / "test/good", tmp_path / "good")
    shutil.copytree(parts / "test/stain", tmp_path / "bad")
    result = run("evaluate", artifact, tmp_path)
    assert result.exit_code == 0
    assert "pixel AUROC  no masks" in result.stdout
    assert "bad " in result.stdout


def test_evaluate_leaves_a_broken_image_out_and_exits_1(artifact, parts, tmp_path):
    shutil.copytree(parts / "test", tmp_path / "test")
    broken = tmp_path / "test/good/000.png"
    broken.write_bytes(broken.read_bytes()[:999])
    result = run("evaluate", artifact, tmp_path, "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["images"] == 11
    assert str(broken) in json.loads(result.stdout)["errors"][0]
    assert "1 of 12 images could not be read" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--weights", "nowhere.pth"), "there is no such file"),
        (("--backbone", "vgg16"), "backbone is 'vgg16'"),
        (("--backbone", "scattering"), "backbone is 'scattering' and weights 'untrained'"),
        (("--layers", "2,7"), "layers is (2, 7)"),
        (("--false-reject-rate", "0.01"), "the smallest rate they support is 0.07692"),
        (("--coreset-fraction", "0.0001"), "fewer than the 9 neighbours"),
        (("--glob", "*.jpg"), "no images named *.jpg"),
    ],
)
def test_fit_refuses_in_one_line_with_exit_1_and_writes_nothing(
    parts, tmp_path, arguments, message
):
    result = run("fit", parts / "train/good", "--out", tmp_path / "x.fit", *FIT, *arguments)
    assert result.exit_code == 1
    assert message in result.stderr.splitlines()[-1]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("arguments", [("--size", "2x3x4"), ("--layers", "a"), ("--seed", "x")])
def test_options_that_are_no_numbers_are_wrong_usage(parts, tmp_path, arguments):
    result = run("fit", parts / "train/good", "--out", tmp_path / "x.fit", *arguments)
    assert result.exit_code == 2


@pytest.mark.parametrize("command", ["fit", "export", "evaluate", "demo"])
def test_help_has_an_example(command):
    assert f"Example: edge-ad {command} " in run(command, "--help").stdout


def test_score_does_not_import_torch_even_where_it_is_installed(artifact, parts):
    code = (
        "import sys; from edge_ad_runtime.commands.main import main;"
        "main(sys.argv[1:], standalone_mode=False); print('torch' in sys.modules)"
    )
    image = parts / "test/good/000.png"
    child = subprocess.run(
        [sys.executable, "-c", code, "score", artifact, image],
        capture_output=True,
        text=True,
        check=True,
    )
    assert child.stdout.splitlines()[-1] == "False"
