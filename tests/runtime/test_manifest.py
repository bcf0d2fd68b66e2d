import json

import pytest

from edge_ad_runtime import strict
from edge_ad_runtime.errors import ArtifactError
from edge_ad_runtime.manifest import FILE_NAME, Manifest, read_manifest


def edit(folder, change) -> None:
    path = folder / FILE_NAME
    raw = json.loads(path.read_text(encoding="utf-8"))
    change(raw)
    path.write_text(json.dumps(raw, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


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


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m.update(colour="red"), "unknown key 'colour'"),
        (lambda m: m["members"][0]["search"].update(ef=1), "unknown key 'members[0].search.ef'"),
        (lambda m: m["members"][0].pop("scoring"), "missing key 'members[0].scoring'"),
        (lambda m: m["members"][0].update(scale=0), "scale is 0"),
        (lambda m: m.update(members=[]), "members: expected at least one"),
        (
            lambda m: m["members"][0]["search"].pop("ef_search"),
            "missing key 'members[0].search.ef_search'",
        ),
        (
            lambda m: m["members"][0]["search"].update(ef_search="64"),
            "members[0].search.ef_search: expected int",
        ),
        (
            lambda m: m["members"][0]["search"].update(rows=True),
            "members[0].search.rows: expected int",
        ),
        (
            lambda m: m["members"][0]["search"].update(kind="ivf"),
            "members[0].search.kind: expected one of",
        ),
        (
            lambda m: m["members"][0]["network"].update(grid=[1, 2, 3]),
            "members[0].network.grid: expected a list of 2",
        ),
        (lambda m: m["calibration"].update(threshold=float("nan")), "NaN is not a number"),
        (lambda m: m["preprocessing"].update(size=[2, 2]), "each side must be 32"),
        (lambda m: m.update(schema=4), "schema 4, this runtime reads up to 3; upgrade"),
        (lambda m: m.update(schema=1), "schema 1 is not known"),
        (lambda m: m.update(schema="2"), "no whole number under the key 'schema'"),
        (lambda m: m["calibration"].update(threshold=9.9), "changed after export"),
        (lambda m: m["preprocessing"].update(size=[64, 96]), "changed after export"),
    ],
)
def test_an_edited_manifest_is_refused_and_the_key_named(artifact, change, message):
    edit(artifact, change)
    with pytest.raises(ArtifactError) as caught:
        read_manifest(artifact)
    assert message in str(caught.value)
    assert caught.value.path == artifact / FILE_NAME


def test_a_key_that_occurs_twice_is_refused(artifact):
    path = artifact / FILE_NAME
    path.write_text(path.read_text().replace('"schema": 3,', '"schema": 3, "schema": 3,'))
    with pytest.raises(ArtifactError, match="occurs twice"):
        read_manifest(artifact)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", b"null"])
def test_what_is_not_a_manifest_is_refused(artifact, content):
    (artifact / FILE_NAME).write_bytes(content)
    with pytest.raises(ArtifactError):
        read_manifest(artifact)


def test_a_missing_folder_or_manifest_is_said(tmp_path):
    with pytest.raises(ArtifactError, match="no such folder"):
        read_manifest(tmp_path / "none.edgead")
    with pytest.raises(ArtifactError, match=r"holds no manifest\.json"):
        read_manifest(tmp_path)
