"""What a report's folder holds, whatever the labels and names of the images are."""

import json
import re
import shutil
from dataclasses import replace
from html import escape
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pytest

from edge_ad.evaluation.evaluate import evaluate
from edge_ad.evaluation.report import Pictures, write_report
from edge_ad.images.labelled import TestImage
from edge_ad_runtime import Detector
from edge_ad_runtime.errors import ConfigError
from edge_ad_runtime.images import read_image, write_png

TINY = Path(__file__).parents[2] / "runtime/tiny.edgead"


@pytest.fixture(scope="module")
def detector():
    return Detector.load(TINY)


@pytest.fixture
def images(tmp_path):
    """Two good ones of one name, and defective ones with hostile names and labels."""
    names = [
        "u/same.png",
        "v/same.png",
        "a#b%20?c.png",
        "e\x1b]0;x.png",
        "long" + "x" * 240 + ".png",
    ]
    labels = ["good", "good", "../../../escaped/x", '"><script>', "a" * 300]
    found = []
    for name, label in zip(names, labels, strict=True):
        source = "0-good.png" if label == "good" else "0-stain.png"
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(TINY / "reference" / source, tmp_path / name)
        found.append(TestImage(path=tmp_path / name, kind=label))
    return found


def test_pictures_stay_inside_and_each_image_has_its_own(detector, images, tmp_path):
    evaluation = evaluate(detector, images)
    out = tmp_path / "deep/deep/report"
    before = {path for path in tmp_path.rglob("*")}
    write_report(evaluation, detector, out)
    outside = {p for p in tmp_path.rglob("*") if not p.is_relative_to(out)} - before
    assert outside == {tmp_path / "deep", tmp_path / "deep/deep"}
    pictures = sorted(path.name for path in (out / "images").iterdir())
    assert len(pictures) == 5  # each once
    html = (out / "index.html").read_text()
    for name in pictures:
        assert quote(name) == name
        assert f'src="images/{name}"' in html
        assert read_image(out / "images" / name).size
    assert '"><script>' not in html
    assert html.count("<script") == 1  # the page's own
    assert len(json.loads((out / "report.json").read_text())["scores"]) == 5


def test_a_report_never_replaces_the_images_or_the_artifact(detector, images, tmp_path):
    evaluation = evaluate(detector, images)
    with pytest.raises(ConfigError, match="would be replaced, but"):
        write_report(evaluation, detector, tmp_path, overwrite=True)
    with pytest.raises(ConfigError, match="would be replaced, but"):
        write_report(evaluation, detector, TINY, overwrite=True)
    write_report(evaluation, detector, tmp_path / "report")
    write_report(evaluation, detector, tmp_path / "report", overwrite=True)


def test_iou_is_the_mean_over_defective_images_with_a_mask(detector, tmp_path):
    stained = read_image(TINY / "reference/0-stain.png")
    write_png(tmp_path / "good.png", read_image(TINY / "reference/0-good.png"))
    write_png(tmp_path / "stain.png", stained)
    heat, _ = detector.manifest.preprocessing.back_on(
        detector.predict(stained).map, stained.shape[:2]
    )
    found = heat > detector.manifest.calibration.threshold
    half = found & (np.arange(found.shape[0]) < np.argwhere(found)[:, 0].mean())[:, np.newaxis]
    images = [TestImage(path=tmp_path / "good.png", kind="good")]
    for name, mask in (("all", found), ("half", half)):
        picture = np.repeat(255 * mask[..., np.newaxis], 3, axis=2).astype(np.uint8)
        write_png(tmp_path / f"{name}.png", picture)
        mask_path = tmp_path / f"{name}.png"
        images.append(TestImage(path=tmp_path / "stain.png", kind="stain", mask=mask_path))
    assert evaluate(detector, images[:2]).iou == pytest.approx(1, abs=0.1)
    expected = (1 + half.sum() / found.sum()) / 2
    assert evaluate(detector, images).iou == pytest.approx(expected, abs=0.1)
    assert evaluate(detector, [images[0], replace(images[1], mask=None)]).iou is None


def test_scores_below_0_have_a_histogram_too(detector, images, tmp_path):
    evaluation = evaluate(detector, images)
    scores = tuple(replace(image, score=image.score - 1e4) for image in evaluation.scores)
    write_report(replace(evaluation, scores=scores), detector, tmp_path / "report")
    assert read_image(tmp_path / "report/curves.png").size


def test_the_page_says_what_a_quality_engineer_files(detector, images, tmp_path):
    evaluation = replace(evaluate(detector, images), labels=("layout folders: 2 good images",))
    write_report(evaluation, detector, tmp_path / "report")
    html = (tmp_path / "report/index.html").read_text()
    manifest = detector.manifest
    for text in (
        manifest.sha256,
        f"{manifest.calibration.threshold:.6g}",
        "promised false rejects",
        f"{manifest.preprocessing.size[0]} x {manifest.preprocessing.size[1]} pixels",
        "layout folders: 2 good images",
        escape(evaluation.remarks[0]),
    ):
        assert text in html, text
    assert re.search(r"<td>\d{4}-\d\d-\d\d \d\d:\d\d UTC", html)


def test_images_are_on_the_page_with_what_they_are_sorted_by_the_most_wrong_first(
    detector, images, tmp_path
):
    evaluation = evaluate(detector, images)
    write_report(evaluation, detector, tmp_path / "report")
    html = (tmp_path / "report/index.html").read_text()
    wrong = [float(value) for value in re.findall(r'data-wrong="([^"]+)"', html)]
    assert len(wrong) == len(images)
    assert wrong == sorted(wrong, reverse=True)
    outcomes = re.findall(r'data-outcome="(\w+)"', html)
    assert sorted(outcomes) == ["accepted"] * 2 + ["found"] * 3


def test_no_image_is_scored_twice_if_its_picture_was_drawn(detector, images, tmp_path, monkeypatch):
    pictures = Pictures(detector)
    evaluation = evaluate(detector, images, seen=pictures.add)
    monkeypatch.setattr("edge_ad.evaluation.report._drawn_again", None)
    write_report(evaluation, detector, tmp_path / "report", pictures=pictures)
    assert len(list((tmp_path / "report/images").iterdir())) == len(images)
