"""``edge-ad threshold``: what it makes is proven, and what it refuses leaves nothing behind."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from edge_ad_runtime import Detector
from edge_ad_runtime.artifact.folder import hash_file
from edge_ad_runtime.artifact.manifest import read_manifest
from edge_ad_runtime.commands.main import main
from edge_ad_runtime.proof.verify import verify

SCHEMA_3 = Path(__file__).parents[1] / "schema3/hnsw.edgead"
VALUES = "reference/values.npz"


def run(*arguments, code=0):
    result = CliRunner().invoke(main, ["threshold", *map(str, arguments)])
    assert result.exit_code == code, result.output
    return result


@pytest.fixture
def out(tmp_path):
    return tmp_path / "new" / "moved.edgead"


def refused(out, *arguments, code=1):
    """The message of a refusal, which leaves nothing beside the name that it would have got."""
    result = run(*arguments, "--out", out, code=code)
    assert not out.parent.exists() or not any(out.parent.iterdir())
    return result.stderr


def test_a_rate_makes_an_artifact_with_that_threshold_that_verifies(tiny, out):
    before = read_manifest(tiny)
    result = run(tiny, "--false-reject-rate", 0.5, "--out", out)
    after = read_manifest(out)
    assert after.calibration.threshold == before.calibration.scores[1]
    assert after.calibration.exported.sha256 == before.sha256
    assert after.calibration.exported.threshold == before.calibration.threshold
    assert (after.sha256, after.schema) != (before.sha256, 3)
    assert "edge_ad_runtime" in after.versions
    assert "verified: 2 reference images" in result.stdout
    with Detector.load(out) as detector:
        assert verify(detector).ok


def test_all_but_verdicts_and_regions_of_the_reference_images_is_byte_for_byte_the_same(tiny, out):
    scores = [float(np.load(tiny / VALUES)[f"{i}.score"]) for i in (0, 1)]
    between = (max(scores) + 0.1, min(scores) / 2)  # all are good, and all are anomalous
    for threshold, expected in zip(between, (False, True), strict=True):
        run(tiny, "--set", threshold, "--out", out, "--overwrite")
        files = read_manifest(out).files
        different = {n for n, entry in read_manifest(tiny).files.items() if files[n] != entry}
        with np.load(tiny / VALUES) as before, np.load(out / VALUES) as after:
            assert set(before) == set(after)
            changed = {n for n in before if not np.array_equal(before[n], after[n])}
            assert [bool(after[f"{i}.anomalous"]) for i in (0, 1)] == [expected, expected]
        assert different == {VALUES}
        assert changed
        assert {name.split(".")[1] for name in changed} <= {"anomalous", "regions"}


def test_the_same_move_gives_the_same_bytes(tiny, tmp_path):
    for name in ("a.edgead", "b.edgead"):
        run(tiny, "--set", 1.0, "--out", tmp_path / name)
    assert read_manifest(tmp_path / "a.edgead") == read_manifest(tmp_path / "b.edgead")


def test_without_a_value_it_says_what_the_scores_support(tiny):
    text = run(tiny).stdout
    assert "3 scores support no rate below 25%" in text
    assert "at most 25.00%" in text
    assert "needs 99 scores of good images" in text
    record = json.loads(run(tiny, "--json").stdout)
    assert record["rates"][0]["false_reject_rate"] == 0.25
    assert record["rates"][0]["threshold"] == record["calibration"]["threshold"]
    assert record["why_no_rates"] is None


def test_a_rate_that_the_scores_do_not_support_is_refused(tiny, out):
    message = refused(out, tiny, "--false-reject-rate", 0.01)
    assert "needs 99 scores" in message
    assert "3 scores support no rate below 25%" in message


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--set", 0), "must be a number above 0"),
        (("--set", "nan"), "must be a number above 0"),
        (("--set", 1e9), "no image could be anomalous"),
        (("--false-alarms", 1), "only a-contrario counts them"),
        (("--false-reject-rate", 1), "above 0 and below 1"),
    ],
)
def test_a_threshold_that_cannot_be_is_refused(tiny, out, arguments, message):
    text = refused(out, tiny, *arguments)
    assert message in text
    assert len(text.splitlines()) == 1
    assert ".partial" not in text


@pytest.mark.parametrize(
    "arguments", [("--set", 1, "--false-reject-rate", 0.5), ()], ids=["two", "none"]
)
def test_one_value_is_needed_to_make_an_artifact(tiny, out, arguments):
    refused(out, tiny, *arguments, code=2)


def test_a_value_without_a_name_for_the_new_artifact_is_wrong_usage(tiny):
    assert "--set needs --out" in run(tiny, "--set", 1, code=2).stderr


def test_an_artifact_is_not_made_over_itself_or_over_another_unasked(artifact, tiny, out):
    run(tiny, "--set", 1, "--out", out)
    assert "already exists" in run(tiny, "--set", 1, "--out", out, code=1).stderr
    over_itself = ("--set", 1, "--out", artifact, "--overwrite")
    assert "give another name" in run(artifact, *over_itself, code=1).stderr


def test_a_damaged_artifact_is_named_and_nothing_is_made(artifact, out):
    (artifact / "bank.npy").write_bytes(b"\0" * (artifact / "bank.npy").stat().st_size)
    message = refused(out, artifact, "--set", 1)
    assert "bank.npy: its SHA-256 is not the manifest's" in message
    assert str(artifact) in message


def test_an_artifact_that_does_not_verify_gets_no_other_threshold(artifact, resign, out):
    resign(artifact, lambda manifest: manifest["preprocessing"].update(resize_px=80))
    assert "does not verify on this machine: preprocess" in refused(out, artifact, "--set", 1)


@pytest.mark.parametrize(
    "change",
    [
        lambda v: {k: a for k, a in v.items() if k != "1.score"},
        lambda v: {**v, "0.score": np.zeros(3)},
    ],
    ids=["missing", "another shape"],
)
def test_reference_values_without_the_scores_are_refused(artifact, reseal, out, tmp_path, change):
    with np.load(artifact / VALUES) as archive:
        np.savez(tmp_path / "values.npz", **change(dict(archive)))
    reseal(VALUES, (tmp_path / "values.npz").read_bytes())
    assert "not the reference values" in refused(out, artifact, "--set", 1)


def test_compressed_reference_values_are_refused(artifact, reseal, out, tmp_path):
    np.savez_compressed(tmp_path / "values.npz", **dict(np.load(artifact / VALUES)))
    reseal(VALUES, (tmp_path / "values.npz").read_bytes())
    assert "is compressed" in refused(out, artifact, "--set", 1)


def test_an_artifact_of_schema_3_has_no_scores_and_takes_a_given_threshold(out):
    assert "as it was exported before they were kept" in run(SCHEMA_3).stdout
    assert "export the fit again" in refused(out, SCHEMA_3, "--false-reject-rate", 0.5)
    run(SCHEMA_3, "--set", 1, "--out", out)
    after = read_manifest(out)
    assert (after.schema, after.calibration.method) == (4, "given")
    assert after.calibration.exported.sha256 == read_manifest(SCHEMA_3).sha256
    with Detector.load(out) as moved, Detector.load(SCHEMA_3) as old:
        image = SCHEMA_3 / old.manifest.reference[0].file
        assert moved.predict(image).score == old.predict(image).score
        assert verify(moved).ok


def test_plans_go_with_the_artifact_and_what_tune_found_does_not(artifact, out):
    (artifact / "engines").mkdir()
    (artifact / "engines/tensorrt-10.3.0-sm87-orin-0a1b2c3d4e5f.plan").write_bytes(b"plan")
    (artifact / "device.json").write_text("{}")
    result = run(artifact, "--set", 1, "--out", out)
    assert [path.name for path in (out / "engines").iterdir()] == [
        "tensorrt-10.3.0-sm87-orin-0a1b2c3d4e5f.plan"
    ]
    assert not (out / "device.json").exists()
    assert "tune" in result.stderr


def test_info_says_where_a_moved_threshold_is_from(tiny, out):
    run(tiny, "--set", 1.5, "--out", out)
    text = CliRunner().invoke(main, ["info", str(out)]).stdout
    assert "1.5 (given, 3 good images); moved by edge-ad threshold from 0.765" in text
    assert "25%: 0.765" in text
    record = json.loads(CliRunner().invoke(main, ["info", str(out), "--json"]).stdout)
    assert record["calibration"]["exported"]["method"] == "split-conformal"
    assert [row["threshold"] is None for row in record["rates"]] == [False, *[True] * 6]


def test_json_says_what_was_made_and_that_it_verifies(tiny, out):
    record = json.loads(run(tiny, "--set", 1, "--out", out, "--json").stdout)
    assert record["verification"]["ok"] is True
    assert record["verification"]["artifact"] == out.name
    assert record["calibration"]["threshold"] == 1
    assert record["out"] == str(out)


def test_regions_of_the_reference_images_are_those_above_the_new_threshold(tiny, out):
    with np.load(tiny / VALUES) as before:
        assert before["1.regions"][0].any()
        above_all = float(before["1.map"].max()) + 0.01
    run(tiny, "--set", above_all, "--out", out)
    with np.load(out / VALUES) as after:
        assert not after["1.regions"].any()


@pytest.fixture
def without_regions(tiny, tmp_path, resign):
    """An artifact of before regions were compared."""
    folder = tmp_path / "before.edgead"
    shutil.copytree(tiny, folder)
    with np.load(folder / VALUES) as archive:
        kept = {name: value for name, value in archive.items() if "regions" not in name}
    np.savez(folder / VALUES, allow_pickle=False, **kept)
    resign(folder, lambda manifest: manifest["tolerances"].pop("regions"))
    entry = vars(hash_file(folder / VALUES))
    resign(folder, lambda manifest: manifest["files"].update({VALUES: entry}))
    return folder


def test_an_artifact_without_regions_moves_too(without_regions, out):
    run(without_regions, "--set", 1, "--out", out)
    with np.load(out / VALUES) as after:
        assert "0.regions" not in after
