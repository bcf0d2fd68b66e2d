"""What a report's folder holds, whatever the labels and names of the images are."""

import json
import shutil
from pathlib import Path
from urllib.parse import quote

import pytest

from edge_ad.evaluation.evaluate import evaluate
from edge_ad.evaluation.report import write_report
from edge_ad.images.labelled import TestImage
from edge_ad_runtime import Detector
from edge_ad_runtime.errors import ConfigError
from edge_ad_runtime.images import read_image

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
    assert len(pictures) == 2 + 3 + 3  # good, and defective ones lowest and highest first
    html = (out / "index.html").read_text()
    for name in pictures:
        assert quote(name) == name
        assert f'src="images/{name}"' in html
        assert read_image(out / "images" / name).size
    assert "<script>" not in html
    assert len(json.loads((out / "report.json").read_text())["scores"]) == 5


def test_a_report_never_replaces_the_images_or_the_artifact(detector, images, tmp_path):
    evaluation = evaluate(detector, images)
    with pytest.raises(ConfigError, match="would be replaced, but"):
        write_report(evaluation, detector, tmp_path, overwrite=True)
    with pytest.raises(ConfigError, match="would be replaced, but"):
        write_report(evaluation, detector, TINY, overwrite=True)
    write_report(evaluation, detector, tmp_path / "report")
    write_report(evaluation, detector, tmp_path / "report", overwrite=True)
