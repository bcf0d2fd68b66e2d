import json
import os

import pytest

from edge_ad_runtime.artifact import strict
from edge_ad_runtime.artifact.manifest import FILE_NAME, read_manifest
from edge_ad_runtime.artifact.schema import Manifest
from edge_ad_runtime.errors import ArtifactError


def edit(folder, change) -> None:
    path = folder / FILE_NAME
    raw = json.loads(path.read_text(encoding="utf-8"))
    change(raw)
    path.write_text(json.dumps(raw, indent=2) + "\n", encoding="utf-8")


def test_it_reads_back_what_it_writes(tiny):
    manifest = read_manifest(tiny)
    assert strict.parse(Manifest, json.loads(manifest.to_text())) == manifest
    assert manifest.sealed() == manifest


def test_every_single_byte_counts(artifact):
    path = artifact / FILE_NAME
    whole = path.read_bytes()
    for at in range(0, len(whole), 7):
        for new in {ord(" "), ord("1"), whole[at] ^ 1} - {whole[at]}:
            path.write_bytes(whole[:at] + bytes([new]) + whole[at + 1 :])
            with pytest.raises(ArtifactError):
                read_manifest(artifact)


def head(manifest):
    return manifest["members"][0]["head"]


def calibration(manifest, **values):
    manifest["calibration"].update(values)


def scores(manifest):
    return manifest["calibration"]["scores"]


OF_NOTHING = {"method": "given", "images": 0, "scores": [], "false_reject_rate": 1.0}


def logarithmic(manifest):
    """The member with a head whose scores are logarithms, in a folder of its own."""
    record = {"kind": "a-contrario", "scales": [{"grid": [4, 4], "degrees": 8}],
              "test": {"kind": "tree", "counting": "paper"}, "price": 0}  # fmt: skip
    return {**manifest["members"][0], "folder": "other", "head": record}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m.update(colour="red"), "unknown key 'colour'"),
        (
            lambda m: head(m)["search"].update(ef=1),
            "unknown key 'members[0].head.search.ef'",
        ),
        (lambda m: head(m).pop("scoring"), "missing key 'members[0].head.scoring'"),
        (lambda m: m["members"][0].update(scale=0), "members[0].scale: expected float from"),
        (lambda m: m["members"][0].update(scale=1e308), "members[0].scale: expected float from"),
        (lambda m: m.update(members=2 * m["members"]), "expected a folder for each"),
        (lambda m: m.update(members=50 * m["members"]), "of length 16 at most"),
        (lambda m: m["members"][0].update(folder="../other"), "a folder in the artifact"),
        (lambda m: m["members"][0].update(folder="/etc"), "a folder in the artifact"),
        (lambda m: m["files"].update({"../x": m["files"]["bank.npy"]}), "below the artifact's"),
        (lambda m: m["files"].update({"a/../../x": m["files"]["bank.npy"]}), "below the artifact"),
        (lambda m: m["reference"][0].update(file="/etc/passwd"), "below the artifact's folder"),
        (
            lambda m: head(m)["search"].update(rounds=10**9),
            "rounds: expected int from 0",
        ),
        (lambda m: head(m)["search"].update(ef_search=10**30), "31 digits"),
        (
            lambda m: head(m)["search"].update(candidates=0),
            "candidates: expected int from 1",
        ),
        (
            lambda m: head(m)["scoring"].update(neighbours=5),
            "asks for 9 neighbours|ef 4",
        ),
        (lambda m: head(m)["scoring"].update(neighbours=-1), "expected int from 1"),
        (
            lambda m: head(m)["scoring"].update(reweight_neighbours=1),
            "reweight_neighbours: expected",
        ),
        (
            lambda m: head(m)["scoring"].update(reweight_neighbours=999),
            "asks for 999",
        ),
        (
            lambda m: head(m)["map"].update(blur_sigma_px=-1.0),
            "blur_sigma_px: expected",
        ),
        (
            lambda m: head(m)["map"].update(blur_sigma_px=1e308),
            "blur_sigma_px: expecte",
        ),
        (lambda m: m["calibration"].update(threshold=1e308), "threshold: expected float from -1"),
        (lambda m: calibration(m, **OF_NOTHING, threshold=-1.0), "threshold: expected 0 or more"),
        (lambda m: m["calibration"].update(false_alarms=0.0), "false_alarms: expected float"),
        (lambda m: m.update(members=[logarithmic(m), m["members"][0]]), "of an ensemble"),
        (lambda m: m["tolerances"].update(score=1e308), "tolerances.score: expected float from 0"),
        (lambda m: m["versions"].update(x="\ud800"), "half a surrogate pair"),
        (lambda m: m["versions"].update(x="x" * 9999), "of length 2000 at most"),
        (lambda m: m.update(members=[]), "members: expected at least one"),
        (
            lambda m: head(m)["search"].pop("ef_search"),
            "missing key 'members[0].head.search.ef_search'",
        ),
        (
            lambda m: head(m)["search"].update(ef_search="64"),
            "members[0].head.search.ef_search: expected int",
        ),
        (
            lambda m: head(m)["bank"].update(rows=True),
            "members[0].head.bank.rows: expected int",
        ),
        (
            lambda m: head(m)["search"].update(kind="ivf"),
            "members[0].head.search.kind: expected one of",
        ),
        (
            lambda m: head(m).update(grid=[1, 2, 3]),
            "members[0].head.grid: expected a list of 2",
        ),
        (lambda m: m["calibration"].update(threshold=float("nan")), "NaN is not a number"),
        (lambda m: m["preprocessing"].update(size=[2, 2]), "each side must be 32"),
        (lambda m: m.update(schema=5), "schema 5, this runtime reads 3 and 4; upgrade"),
        (lambda m: m.update(schema=2), "schema 2 is not known; this runtime reads 3 and 4"),
        (lambda m: m.update(schema=3), "missing key 'method'|unknown key"),
        (lambda m: head(m).pop("kind"), "missing key 'members[0].head.kind'"),
        (
            lambda m: head(m).update(kind="x"),
            "['a-contrario', 'direct', 'gallery-search', 'patch-search'], found",
        ),
        (lambda m: head(m).update(kind=["direct"]), "head.kind: expected one of"),
        (lambda m: m["members"][0].update(head=[]), "members[0].head: expected an object"),
        (lambda m: m.update(schema="2"), "no whole number under the key 'schema'"),
        (lambda m: calibration(m, **OF_NOTHING, threshold=9.9), "changed after export"),
        (lambda m: calibration(m, threshold=9.9), "threshold: expected one of 0.765"),
        (lambda m: calibration(m, threshold=scores(m)[1]), "threshold: expected one of 0.765"),
        (lambda m: calibration(m, method="given", threshold=0.7), "threshold: expected one from"),
        (lambda m: calibration(m, false_reject_rate=0.1), "expected a multiple of 1 / 4, as"),
        (lambda m: calibration(m, false_reject_rate=1.0), "expected a multiple of 1 / 4, as"),
        (lambda m: calibration(m, requested_rate=0.2), "expected the requested_rate of 0.2 at"),
        (lambda m: calibration(m, interval=[0.5, 0.1]), "interval: expected its lower end first"),
        (lambda m: scores(m).reverse(), "scores: expected them rising, found"),
        (lambda m: scores(m).append(9.0), "scores: expected 3, as images is 3, found 4"),
        (lambda m: scores(m).pop(), "scores: expected 3, as images is 3, found 2"),
        (lambda m: calibration(m, images=0), "scores: expected 0, as images is 0, found 3"),
        (lambda m: calibration(m, scores=[]), "as calibration.images is 3, found []"),
        (lambda m: calibration(m, scores=5001 * [1.0]), "scores: expected tuple"),
        (lambda m: scores(m).insert(0, float("inf")), "Infinity is not a number"),
        (lambda m: scores(m).insert(0, 1e308), "scores[0]: expected float from -1e+12"),
        (lambda m: scores(m).insert(0, "1"), "scores[0]: expected a finite number"),
        (lambda m: calibration(m, method="a-contrario"), "expected with the method a-contrario"),
        (lambda m: calibration(m, false_alarms=1.0), "expected with the method a-contrario"),
        (
            lambda m: calibration(m, **OF_NOTHING | {"method": "a-contrario"}, false_alarms=0.1),
            "threshold: expected 1, which is -log10 of false_alarms",
        ),
        (lambda m: calibration(m, scores_from="given"), "scores_from: expected one of"),
        (lambda m: calibration(m, scores_from="leave-one-out"), "expected with the method given"),
        (lambda m: calibration(m, exported={"sha256": "0"}), "missing key 'calibration.exported"),
        (lambda m: m["preprocessing"].update(size=[64, 96]), "changed after export"),
    ],
)
def test_an_edited_manifest_is_refused_and_the_key_named(artifact, change, message):
    edit(artifact, change)
    with pytest.raises(ArtifactError) as caught:
        read_manifest(artifact)
    assert any(part in str(caught.value) for part in message.split("|"))
    assert caught.value.path == artifact / FILE_NAME


def test_a_key_that_occurs_twice_is_refused(artifact):
    path = artifact / FILE_NAME
    path.write_text(path.read_text().replace('"schema": 4,', '"schema": 4, "schema": 4,'))
    with pytest.raises(ArtifactError, match="occurs twice"):
        read_manifest(artifact)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", b"null"])
def test_what_is_not_a_manifest_is_refused(artifact, content):
    (artifact / FILE_NAME).write_bytes(content)
    with pytest.raises(ArtifactError):
        read_manifest(artifact)


def test_changed_line_ends_are_a_change(artifact):
    path = artifact / FILE_NAME
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    with pytest.raises(ArtifactError, match="changed after export"):
        read_manifest(artifact)


@pytest.mark.parametrize("text", ["[" * 200_000, '{"schema":' * 100_000])
def test_nesting_that_is_too_deep_is_refused(artifact, text):
    (artifact / FILE_NAME).write_text(text)
    with pytest.raises(ArtifactError, match="nested too deeply"):
        read_manifest(artifact)


def test_a_manifest_that_is_no_plain_file_or_too_large_is_refused(artifact):
    path = artifact / FILE_NAME
    path.write_bytes(b" " * 5_000_000)
    with pytest.raises(ArtifactError, match="more than the 4,000,000 allowed"):
        read_manifest(artifact)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(ArtifactError, match="is a FIFO"):
        read_manifest(artifact)


def test_a_missing_folder_or_manifest_is_said(tmp_path):
    with pytest.raises(ArtifactError, match="no such folder"):
        read_manifest(tmp_path / "none.edgead")
    with pytest.raises(ArtifactError, match=r"holds no manifest\.json"):
        read_manifest(tmp_path)
