import json
from pathlib import Path

import pytest

from edge_ad_runtime.errors import ConfigError
from edge_ad_runtime.proof.recorded import RecordedScores


def line(path, score=1.0, threshold=2.0, verdict="good", **others):
    record = {"path": path, "score": score, "threshold": threshold, "verdict": verdict}
    return json.dumps({**record, **others})


def read(tmp_path, *lines):
    (tmp_path / "old.jsonl").write_text("\n".join(lines) + "\n")
    return RecordedScores.read(tmp_path / "old.jsonl")


def test_lines_of_score_and_of_watch_are_read(tmp_path):
    scores = read(tmp_path, line("a.png"), "", line("b.png", 3.0, verdict="anomalous", time="now"))
    assert [(each.line, each.path, each.score) for each in scores.lines] == [
        (1, "a.png", 1.0), (3, "b.png", 3.0),
    ]  # fmt: skip


def test_an_image_belongs_to_the_line_whose_path_ends_as_its_own(tmp_path):
    scores = read(tmp_path, line("/old/good/1.png"), line("/old/bad/1.png"), line("x/2.png"))
    images = [Path("new/bad/1.png"), Path("new/good/1.png"), Path("2.png"), Path("3.png")]
    found = scores.match(images)
    assert [found[image] and found[image].line for image in images] == [2, 1, 3, None]


def test_the_very_path_comes_before_a_longer_one_that_ends_alike(tmp_path):
    scores = read(tmp_path, line("a/1.png"), line("1.png"))
    assert scores.match([Path("1.png")])[Path("1.png")].line == 2


@pytest.mark.parametrize("paths", [("a/1.png", "a/1.png"), ("a/1.png", "b/1.png")])
def test_lines_that_cannot_be_told_apart_are_refused(tmp_path, paths):
    with pytest.raises(ConfigError, match="1.png may be any of lines 1, 2, which name 1.png too"):
        read(tmp_path, *map(line, paths)).match([Path("c/1.png")])


def test_images_that_would_share_a_line_are_refused(tmp_path):
    scores = read(tmp_path, line("1.png"))
    with pytest.raises(ConfigError, match=r"line 1 \(1.png\) may be of a/1.png and of b/1.png"):
        scores.match([Path("a/1.png"), Path("b/1.png")])
    twice = [Path("a/1.png"), Path("a/1.png")]
    assert scores.match(twice)[Path("a/1.png")].line == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "line 1 is no record of edge-ad score --json"),
        ("[]", "is no JSON object"),
        ('{"path": "a.png"}', "it has no 'score'"),
        (line(7), "path is 7"),
        (line("/"), "path is '/'"),
        (line("a.png", "1"), "score is '1', expected a finite number"),
        (line("a.png", True), "score is True"),
        (line("a.png", float("nan")), "NaN is not a number"),
        (line("a.png").replace("1.0", "1e999"), "score is inf"),
        (
            line("a.png", 3.0),
            "verdict is 'good', and a score of 3 beside a threshold of 2 is",
        ),
        (line("a.png", verdict="fine"), "verdict is 'fine'"),
        (line("a.png", threshold=None), "threshold is None"),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_what_is_no_record_is_refused_and_its_line_named(tmp_path, text, message):
    with pytest.raises(ConfigError, match=message) as caught:
        read(tmp_path, text)
    assert "old.jsonl: line 1" in str(caught.value)


def test_a_file_that_cannot_be_one_of_records_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="holds no lines"):
        read(tmp_path, "", " ")
    (tmp_path / "old.jsonl").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="is not text in UTF-8"):
        RecordedScores.read(tmp_path / "old.jsonl")
    with pytest.raises(ConfigError, match="cannot be read"):
        RecordedScores.read(tmp_path / "none.jsonl")


def test_a_line_belongs_to_the_image_whose_path_is_most_like_its_own(tmp_path):
    scores = read(tmp_path, line("old/good/1.png"))
    found = scores.match([Path("new/bad/1.png"), Path("new/good/1.png")])
    assert found[Path("new/bad/1.png")] is None
    assert found[Path("new/good/1.png")].line == 1
