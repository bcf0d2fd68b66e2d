import csv
import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from click.testing import CliRunner

from edge_ad_runtime import Detector
from edge_ad_runtime.commands.main import main


def run(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def test_score_prints_a_line_per_image_and_exits_0(tiny):
    result = run("score", tiny, tiny / "reference")
    assert result.exit_code == 0
    good, bad = result.stdout.splitlines()
    assert good.startswith("good ")
    assert bad.startswith("anomalous ")


def test_score_json_has_the_promised_fields(tiny, good_image):
    result = run("score", tiny, good_image, "--json")
    line = json.loads(result.stdout)
    assert line["path"] == str(good_image)
    assert line["verdict"] == "good"
    assert line["score"] <= line["threshold"]
    assert line["timings_ms"]["total"] > 0


def test_an_unreadable_image_gets_an_error_line_the_rest_goes_on_and_the_exit_code_is_1(
    tiny, good_image, tmp_path
):
    broken = tmp_path / "half.png"
    broken.write_bytes(good_image.read_bytes()[:500])
    result = run("score", tiny, broken, good_image, "--json")
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert [line["verdict"] for line in lines] == ["error", "good"]
    assert str(broken) in lines[0]["error"]
    assert lines[0]["score"] is None
    assert result.exit_code == 1
    assert "1 of 2 images could not be scored" in result.stderr


def test_maps_are_written_below_the_folder_images_share(tiny, good_image, tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "1.png").write_bytes(good_image.read_bytes())
    result = run("score", tiny, tmp_path / "a", tmp_path / "b", "--maps", tmp_path / "maps")
    assert result.exit_code == 0
    found = sorted(str(p.relative_to(tmp_path)) for p in (tmp_path / "maps").rglob("*.png"))
    assert found == ["maps/a/1.png.png", "maps/b/1.png.png"]


def test_maps_that_cannot_be_written_cost_no_verdict_and_exit_with_1(tiny, good_image, tmp_path):
    (tmp_path / "file").write_text("in the way")
    maps = ("--maps", tmp_path / "file")
    result = run("score", tiny, good_image, good_image, *maps)
    assert result.exit_code == 1
    assert [line.split()[0] for line in result.stdout.splitlines()] == ["good", "good"]
    assert result.stdout.count("(no overlay: ") == 2
    assert result.stderr == "edge-ad: 2 of 2 overlays could not be written\n"
    line = json.loads(run("score", tiny, good_image, "--json", *maps).stdout)
    assert line["verdict"] == "good"
    assert "cannot be written" in line["map_error"]


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("x" * 300 + ".png", lambda path: None),
        ("not utf-8 \udcff.png", lambda path: None),
        ("fifo.png", os.mkfifo),
        ("device.png", lambda path: path.symlink_to("/dev/zero")),
        ("loop.png", lambda path: path.symlink_to(path.name)),
    ],
    ids=["long", "not utf-8", "fifo", "device", "loop"],
)
def test_whatever_a_name_stands_for_it_gets_its_line_and_the_others_go_on(
    tiny, good_image, tmp_path, name, make
):
    bad = tmp_path / name
    make(bad)
    result = run("score", tiny, bad, good_image, "--json")
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert [line["verdict"] for line in lines] == ["error", "good"]
    assert lines[0]["path"] == str(bad)
    assert "cannot be read" in lines[0]["error"]
    assert result.exit_code == 1


@pytest.mark.parametrize("what", ["folder", "image"])
def test_what_may_not_be_read_gets_its_line_and_the_others_go_on(
    tiny, good_image, tmp_path, monkeypatch, what
):
    """Root may read everything, so the refusal is made."""
    locked = tmp_path / "locked"
    locked.mkdir()
    bad = locked if what == "folder" else locked / "part.png"
    real_open, real_iterdir = os.open, Path.iterdir

    def may_not(path):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    def guarded_open(path, *arguments, **settings):
        return may_not(path) if path == bad else real_open(path, *arguments, **settings)

    monkeypatch.setattr(os, "open", guarded_open)
    monkeypatch.setattr(
        Path, "iterdir", lambda self: may_not(self) if self == bad else real_iterdir(self)
    )
    result = run("score", tiny, bad, good_image, "--json")
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert [line["verdict"] for line in lines] == ["error", "good"]
    assert "Permission denied" in lines[0]["error"]
    assert result.exit_code == 1


def test_a_name_is_shown_and_not_obeyed(tiny, good_image, tmp_path):
    forged = tmp_path / "a.png\nanomalous\x1b]0;title\x07\x9b31m\udcff.png"
    shutil.copy(good_image, os.fsencode(forged))
    for arguments in ((), ("--json",)):
        result = run("score", tiny, forged, *arguments)
        assert result.exit_code == 0
        (line,) = result.stdout.splitlines()
        assert line.isprintable()


@pytest.mark.parametrize("arguments", [["score", "ARTIFACT", "IMAGE"], ["--help"], ["--version"]])
def test_results_on_a_full_disk_are_one_line_and_exit_code_1(tiny, good_image, arguments):
    names = {"ARTIFACT": str(tiny), "IMAGE": str(good_image)}
    command = [sys.executable, "-m", "edge_ad_runtime", *(names.get(a, a) for a in arguments)]
    with Path("/dev/full").open("w") as full:
        child = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert child.returncode == 1
    assert child.stderr == "edge-ad: cannot be written: No space left on device\n"


def test_info_says_which_files_are_missing_or_cut(artifact):
    (artifact / "bank.npy").unlink()
    (artifact / "network.onnx").write_bytes(b"half")
    for arguments in ((), ("--json",)):
        result = run("info", artifact, *arguments)
        assert result.exit_code == 1
        assert "bank.npy, network.onnx missing, or not of the size" in result.stderr
        assert "copy the artifact again" in result.stderr
    assert json.loads(result.stdout)["missing"] == ["bank.npy", "network.onnx"]


def test_junit_of_an_artifact_with_an_escape_in_its_name_is_xml(artifact, tmp_path):
    hostile = artifact.rename(artifact.with_name("a\x1b\udcff.edgead"))
    assert run("verify", hostile, "--junit", tmp_path / "verify.xml").exit_code == 0
    assert ElementTree.parse(tmp_path / "verify.xml").getroot().get("failures") == "0"
    (hostile / "bank.npy").unlink()
    assert run("verify", hostile, "--junit", tmp_path / "verify.xml").exit_code == 1
    assert ElementTree.parse(tmp_path / "verify.xml").getroot().get("failures") == "1"


def test_an_empty_folder_of_images_is_refused(tiny, tmp_path):
    result = run("score", tiny, tmp_path)
    assert result.exit_code == 1
    assert "no images in this folder" in result.stderr


def test_verify_prints_every_stage_and_exits_0(tiny, tmp_path):
    result = run("verify", tiny, "--junit", tmp_path / "verify.xml")
    assert result.exit_code == 0
    assert "verified: 2 reference images" in result.stdout
    assert 'tests="7" failures="0" errors="0" skipped="0"' in (tmp_path / "verify.xml").read_text()


def test_verify_says_which_stage_an_older_artifact_lacks(artifact, resign, tmp_path):
    resign(artifact, lambda manifest: manifest["tolerances"].pop("regions"))
    result = run("verify", artifact, "--junit", tmp_path / "verify.xml")
    assert result.exit_code == 0
    assert "regions      not checked: exported before" in result.stdout
    assert 'tests="7" failures="0" errors="0" skipped="1"' in (tmp_path / "verify.xml").read_text()
    assert json.loads(run("verify", artifact, "--json").stdout)["not_checked"] == ["regions"]


def test_verify_of_a_damaged_artifact_exits_1_in_one_line_and_says_so_in_every_format(
    artifact, tmp_path
):
    (artifact / "bank.npy").write_bytes(b"\0" * (artifact / "bank.npy").stat().st_size)
    result = run("verify", artifact, "--json", "--junit", tmp_path / "verify.xml")
    assert result.exit_code == 1
    assert len(result.stderr.splitlines()) == 1
    assert json.loads(result.stdout)["ok"] is False
    assert 'failures="1"' in (tmp_path / "verify.xml").read_text()


def test_verify_names_the_first_failing_stage(artifact, resign):
    resign(artifact, lambda manifest: manifest["preprocessing"].update(resize_px=80))
    result = run("verify", artifact)
    assert result.exit_code == 1
    assert "first failing stage: preprocess" in result.stderr
    assert "NOT VERIFIED" in result.stdout


def test_profile_reports_every_stage_and_the_raw_samples(tiny, tmp_path):
    svg = tmp_path / "latency.svg"
    result = run("profile", tiny, "--count", 12, "--warmup", 1, "--json", "--svg", svg)
    assert result.exit_code == 0
    report = json.loads(result.stdout)
    assert list(report["stages"])[-1] == "total"
    for name, stage in report["stages"].items():
        assert len(report["samples_ms"][name]) == 12
        assert stage["p50_ms"] <= stage["p95_ms"] <= stage["p99_ms"] <= stage["max_ms"]
    assert report["cold_start_ms"] > report["stages"]["total"]["p50_ms"]
    assert report["peak_memory_bytes"] > 1e7
    assert svg.read_text().startswith("<svg")


def test_profile_gates_on_the_budget(tiny):
    assert run("profile", tiny, "--count", 3, "--budget-ms", 1e6).exit_code == 0
    result = run("profile", tiny, "--count", 3, "--budget-ms", 1e-6)
    assert result.exit_code == 1
    assert "over the budget of 1e-06 ms" in result.stderr


def test_profile_times_images_of_the_users_own(tiny, good_image):
    result = run("profile", tiny, "--images", good_image, "--count", 2)
    assert result.exit_code == 0
    assert "cold start" in result.stdout


def test_the_record_of_a_verification_says_on_what(tiny):
    record = json.loads(run("verify", tiny, "--json", "--threads", 1).stdout)
    assert (record["engine"], record["device"], record["precision"], record["threads"]) == (
        "onnxruntime", "cpu", "fp32", 1,
    )  # fmt: skip
    assert record["machine"]["cores"] >= 1
    assert record["runtime_version"]


@pytest.mark.parametrize("command", ["score", "watch", "verify", "profile", "tune", "info"])
def test_a_missing_artifact_is_one_clear_line_and_exit_1(command, tmp_path):
    arguments = [tmp_path / "none.edgead", *(["."] if command in ("score", "watch") else [])]
    result = run(command, *arguments)
    assert result.exit_code == 1
    assert result.stderr.splitlines() == [
        f"edge-ad: {tmp_path}/none.edgead: no such folder; an artifact is a folder named *.edgead"
    ]


def test_wrong_usage_exits_2(tiny):
    assert run("score", tiny).exit_code == 2
    assert run("no-such-command").exit_code == 2


COMMANDS = ["score", "watch", "verify", "profile", "tune", "threshold", "compare", "info"]


@pytest.mark.parametrize("command", COMMANDS)
def test_help_ends_with_an_example(command):
    assert f"Example: edge-ad {command} " in run(command, "--help").stdout


def test_stdout_that_is_closed_early_is_no_traceback(tiny, good_image):
    command = [sys.executable, "-m", "edge_ad_runtime", "score", tiny, *[good_image] * 30]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=os.environ
    ) as child:
        assert child.stdout is not None
        child.stdout.readline()
        child.stdout.close()
        assert b"Traceback" not in child.stderr.read()


def test_without_maps_the_scores_are_the_same(tiny, good_image, tmp_path):
    lines = [
        json.loads(run("score", tiny, good_image, "--json", *option).stdout)
        for option in ((), ("--no-map",))
    ]
    assert lines[0]["score"] == lines[1]["score"]
    assert lines[1]["exact"] is True
    assert lines[1]["scanned"] >= 1
    refused = run("score", tiny, good_image, "--no-map", "--maps", tmp_path)
    assert refused.exit_code == 2
    assert "exclude one another" in refused.stderr


def test_another_threshold_is_tried_without_another_artifact(tiny, good_image):
    score = json.loads(run("score", tiny, good_image, "--json").stdout)["score"]
    below = run("score", tiny, good_image, "--json", "--threshold", score / 2)
    line = json.loads(below.stdout)
    assert (line["verdict"], line["threshold"]) == ("anomalous", score / 2)
    refused = run("score", tiny, good_image, "--threshold", "-1")
    assert refused.exit_code == 1
    assert "threshold is -1; a threshold must be a number above 0" in refused.stderr


def test_images_are_scored_from_a_list_and_from_standard_input(tiny, good_image, tmp_path):
    (tmp_path / "list.txt").write_text(f"{good_image}\n\n{tiny / 'reference'}\r\n")
    from_file = run("score", tiny, "--from", tmp_path / "list.txt")
    assert from_file.exit_code == 0
    assert len(from_file.stdout.splitlines()) == 1 + 2
    arguments = ["score", str(tiny), "-", "--no-map"]
    piped = CliRunner().invoke(main, arguments, input=f"{good_image}\n")
    assert piped.exit_code == 0
    assert len(piped.stdout.splitlines()) == 1
    empty = CliRunner().invoke(main, arguments, input="\n")
    assert (empty.exit_code, empty.stderr) == (1, "edge-ad: the list names no image\n")
    assert run("score", tiny).exit_code == 2


def test_folders_in_folders_are_scored_if_asked_and_named_if_not(tiny, good_image, tmp_path):
    (tmp_path / "top/station 1").mkdir(parents=True)
    shutil.copy(good_image, tmp_path / "top/station 1/a.png")
    refused = run("score", tiny, tmp_path / "top")
    assert refused.exit_code == 1
    assert "it holds the folders station 1: give one, or --recursive" in refused.stderr
    assert run("score", tiny, tmp_path / "top", "--recursive").stdout.startswith("good")


def test_csv_has_a_head_and_a_row_for_each_image_errors_too(tiny, good_image, tmp_path):
    (tmp_path / 'a "b", c.png').write_bytes(b"no image")
    result = run("score", tiny, good_image, tmp_path / 'a "b", c.png', "--csv")
    rows = list(csv.DictReader(result.stdout.splitlines()))
    assert [row["verdict"] for row in rows] == ["good", "error"]
    assert float(rows[0]["score"]) < float(rows[0]["threshold"])
    assert rows[1]["path"].endswith('a "b", c.png')
    assert rows[1]["score"] == ""
    assert run("score", tiny, good_image, "--csv", "--json").exit_code == 2


def test_raw_maps_are_the_predictions_maps(tiny, good_image, tmp_path):
    assert run("score", tiny, good_image, "--raw-maps", tmp_path / "raw").exit_code == 0
    (file,) = (tmp_path / "raw").iterdir()
    with Detector.load(tiny) as detector:
        expected = detector.predict(good_image).map
    found = np.load(file)
    assert file.name == good_image.name + ".npy"
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert run("score", tiny, good_image, "--raw-maps", tmp_path, "--no-map").exit_code == 2
