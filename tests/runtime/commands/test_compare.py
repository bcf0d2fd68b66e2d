"""``edge-ad compare``: flips first, and nothing that could not be compared passes."""

import json
import shutil
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from edge_ad_runtime import Detector
from edge_ad_runtime.commands.main import main
from edge_ad_runtime.images.labels import ListedImage
from edge_ad_runtime.proof.compare import compare
from edge_ad_runtime.proof.comparison import Limits


def call(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def run(*arguments, code=0):
    result = call("compare", *arguments)
    assert result.exit_code == code, result.output
    return result


@pytest.fixture(scope="module")
def lenient(tiny, tmp_path_factory):
    """The same artifact with a threshold above the damaged image's score."""
    out = tmp_path_factory.mktemp("lenient") / "lenient.edgead"
    with Detector.load(tiny) as detector:
        scores = [
            detector.predict(tiny / reference.file).score
            for reference in detector.manifest.reference
        ]
    assert call("threshold", tiny, "--set", max(scores) * 1.1, "--out", out).exit_code == 0
    return out


@pytest.fixture
def parts(tiny, tmp_path):
    """A labelled folder of the two reference images, of which the second is damaged."""
    good, damaged = sorted((tiny / "reference").glob("*.png"))
    for name, source in (("good/1.png", good), ("good/2.png", good), ("bad/1.png", damaged)):
        (tmp_path / "parts" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, tmp_path / "parts" / name)
    return tmp_path / "parts"


@pytest.fixture
def recorded(tiny, parts, tmp_path):
    """What ``score --json`` said of the parts."""
    lines = call("score", tiny, parts / "good", parts / "bad", "--json", "--no-map").stdout
    (tmp_path / "old.jsonl").write_text(lines)
    return tmp_path / "old.jsonl"


def test_an_artifact_agrees_with_itself(tiny, parts):
    result = run(tiny, tiny, parts, "--max-difference", 0)
    assert "3 images, verdicts that differ: 0 (0 allowed), errors: 0" in result.stdout
    assert "image AUROC 1.0000 -> 1.0000" in result.stdout


def test_a_flip_comes_first_is_counted_and_fails(tiny, lenient, parts):
    result = run(tiny, lenient, parts, code=1)
    first = result.stdout.splitlines()[0]
    assert first.startswith("anomalous -> good")
    assert "bad/1.png  (bad)" in first
    assert result.stderr.endswith("1 verdicts differ, 0 are allowed\n")
    run(tiny, lenient, parts, "--max-flips", 1)


def test_scores_count_in_relation_to_their_own_threshold(tiny, lenient, parts):
    found = json.loads(run(tiny, lenient, parts, "--json", code=1).stdout)
    assert (found["ok"], found["flips"], found["unit"]) == (False, 1, "thresholds")
    for image in found["compared"]:
        for side in ("old", "new"):
            values = image[side]
            assert values["relative"] == pytest.approx(values["score"] / values["threshold"])
        difference = image["new"]["relative"] - image["old"]["relative"]
        assert image["difference"] == pytest.approx(difference)
    sizes = [abs(image["difference"]) for image in found["compared"] if not image["flipped"]]
    assert sizes == sorted(sizes, reverse=True)
    assert found["worst_difference"] == pytest.approx(
        max(abs(image["difference"]) for image in found["compared"])
    )


def test_a_difference_past_what_is_allowed_fails_without_a_flip(tiny, lenient, parts):
    only_good = (tiny, lenient, parts / "good")
    run(*only_good)
    result = run(*only_good, "--max-difference", 1e-6, code=1)
    assert "2 scores moved by more than the 1e-06 thresholds" in result.stderr


def test_an_image_that_cannot_be_read_is_no_agreement(tiny, parts, tmp_path):
    (parts / "good/3.png").write_text("no image")
    result = run(tiny, tiny, parts, "--junit", tmp_path / "c.xml", code=1)
    assert "1 of 4 images could not be compared" in result.stderr
    assert result.stdout.splitlines()[0].startswith("error")
    assert "good/3.png" in result.stdout.splitlines()[0]
    suite = ElementTree.parse(tmp_path / "c.xml").getroot()
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("4", "0", "1")


def test_an_image_that_only_one_can_judge_is_no_agreement(tiny, good_image, monkeypatch):
    with Detector.load(tiny) as old, Detector.load(tiny) as new:
        outputs = dict(new.members[0].run(np.zeros((1, 64, 80, 3), np.uint8))[0])
        broken = {name: np.full_like(value, np.nan) for name, value in outputs.items()}
        monkeypatch.setattr(new.members[0].engine, "run", lambda images: {
            name: value[np.newaxis] for name, value in broken.items()
        })  # fmt: skip
        found = compare(old, new, [ListedImage(path=good_image, label=None)], Limits())
    assert (found.ok, found.errors, found.flips) == (False, 1, 0)
    assert str(good_image) in found.compared[0].error


def test_junit_fails_the_images_past_what_is_allowed_alone(tiny, lenient, parts, tmp_path):
    run(tiny, lenient, parts, "--junit", tmp_path / "c.xml", code=1)
    cases = ElementTree.parse(tmp_path / "c.xml").getroot().findall("testcase")
    failed = [case.get("name") for case in cases if case.find("failure") is not None]
    assert failed == [str(parts / "bad/1.png")]
    run(tiny, lenient, parts, "--junit", tmp_path / "c.xml", "--max-flips", 1)
    assert ElementTree.parse(tmp_path / "c.xml").getroot().get("failures") == "0"


def test_a_picture_of_each_flip_shows_both_maps(tiny, lenient, parts, tmp_path):
    run(tiny, lenient, parts, "--pictures", tmp_path / "flips", code=1)
    (picture,) = (tmp_path / "flips").rglob("*.png")
    assert picture.relative_to(tmp_path).as_posix() == "flips/bad/1.png.png"
    height, width = cv2.imread(str(parts / "bad/1.png")).shape[:2]
    shape = cv2.imread(str(picture)).shape
    assert shape[1] >= 2 * min(width, 640)
    assert shape[0] > min(height, 640) / 2


def test_pictures_that_cannot_be_written_are_said(tiny, lenient, parts, tmp_path):
    (tmp_path / "file").write_text("in the way")
    arguments = (tiny, lenient, parts, "--max-flips", 1, "--pictures", tmp_path / "file")
    result = run(*arguments, code=1)
    assert "1 pictures could not be written" in result.stderr
    assert "(no picture: " in result.stdout


def test_recorded_scores_stand_for_the_old_artifact(recorded, tiny, lenient, parts, tmp_path):
    run(recorded, tiny, parts, "--max-difference", 1e-4)
    result = run(recorded, lenient, parts, "--pictures", tmp_path / "flips", code=1)
    assert result.stdout.startswith("anomalous -> good")
    assert len(list((tmp_path / "flips").rglob("*.png"))) == 1
    found = json.loads(run(recorded, tiny, parts, "--json").stdout)
    assert found["old"] == {"recorded": "old.jsonl", "lines": 3}
    assert found["auroc_old"] == 1


def test_images_without_a_line_or_with_an_error_are_errors_and_lines_without_an_image_are_told(
    recorded, tiny, parts
):
    lines = recorded.read_text().splitlines()
    error = {**json.loads(lines[1]), "score": None, "verdict": "error", "error": "unreadable"}
    recorded.write_text("\n".join([lines[0], json.dumps(error)]))
    result = run(recorded, tiny, parts, code=1)
    assert "bad/1.png: " in result.stdout
    assert "has no line of it" in result.stdout
    assert "line 2 of" in result.stdout
    assert "2 of 3 images could not be compared" in result.stderr
    result = run(recorded, tiny, parts / "good/1.png")
    assert "1 recorded images were not given, and not compared" in result.stdout


def test_recorded_scores_of_another_kind_are_refused(recorded, tiny, parts):
    text = recorded.read_text().splitlines()[0]
    decades = {**json.loads(text), "score": -3.0, "threshold": -2.0}
    recorded.write_text(json.dumps(decades))
    assert "an artifact of another kind" in run(recorded, tiny, parts, code=1).stderr


def test_decades_beside_distances_are_compared_by_verdict_alone(tiny, parts, monkeypatch):
    with Detector.load(tiny) as old, Detector.load(tiny) as new:
        monkeypatch.setattr(new.members[0].head, "in_decades", True, raising=False)
        images = [ListedImage(path=path, label=None) for path in sorted(parts.rglob("*.png"))]
        found = compare(old, new, images, Limits())
        assert (found.ok, found.unit, found.worst_difference) == (True, None, None)
        with pytest.raises(ValueError, match="verdicts alone can be compared"):
            compare(old, new, images, Limits(max_difference=0.1))
        both = compare(new, new, images, Limits())
    assert both.unit == "decades"
    side = both.compared[0].old
    assert side.relative == pytest.approx(side.score - side.threshold)


def test_without_labels_there_is_no_auroc(tiny, good_image):
    assert "no image AUROC" in run(tiny, tiny, good_image).stdout


def test_an_artifact_or_file_that_is_not_there_is_refused(tiny, good_image, tmp_path):
    assert "no such folder" in run(tmp_path / "none", tiny, good_image, code=1).stderr
    assert "no such folder" in run(tiny, tmp_path / "none", good_image, code=1).stderr
