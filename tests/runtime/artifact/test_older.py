"""Artifacts of schema 3, of each kind of search, made by the runtime that wrote that schema."""

import json
import shutil
from pathlib import Path

import pytest

from edge_ad_runtime import Detector
from edge_ad_runtime.artifact import older, strict
from edge_ad_runtime.artifact.manifest import FILE_NAME, read_manifest
from edge_ad_runtime.errors import ArtifactError
from edge_ad_runtime.proof.verify import verify

SCHEMA_3 = Path(__file__).parents[1] / "schema3"
SCORES = json.loads((SCHEMA_3 / "scores.json").read_text())


@pytest.fixture(params=SCORES)
def old(request):
    return SCHEMA_3 / f"{request.param}.edgead"


def test_an_artifact_of_schema_3_gives_the_scores_that_it_gave(old):
    with Detector.load(old) as detector:
        assert detector.search == old.stem
        for file, score in SCORES[old.stem].items():
            # the last digits are the processor's; on the one that made it they are the same
            assert detector.predict(old / file).score == pytest.approx(score, rel=1e-6)


def test_an_artifact_of_schema_3_verifies(old):
    with Detector.load(old) as detector:
        report = verify(detector)
    assert report.ok
    assert report.artifact_sha256 == json.loads((old / FILE_NAME).read_text())["sha256"]


def test_schema_3_is_told_in_todays_records():
    manifests = {kind: read_manifest(SCHEMA_3 / f"{kind}.edgead") for kind in SCORES}
    heads = {kind: manifest.members[0].head for kind, manifest in manifests.items()}
    assert {kind: head.search.kind for kind, head in heads.items()} == {k: k for k in SCORES}
    assert heads["exact"].bank.precision == "float16"
    assert heads["exact"].scoring.reweight_neighbours is None
    assert heads["graph"].scoring.reweight_neighbours == 5
    network = manifests["graph"].members[0].network
    assert network.origin["backbone"] == "resnet18"
    assert {name: o.shape for name, o in network.outputs.items()} == {
        "features": (12, 16, 64), "rows": (192, 3),
    }  # fmt: skip
    assert set(manifests["exact"].tolerances) == {
        *("preprocess", "features", "distances", "map", "score")
    }


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m.update(colour="red"), "unknown key 'colour'"),
        (lambda m: m["members"][0]["search"].update(links=0), "a number of hnsw is 0"),
        (lambda m: m["members"][0]["scoring"].update(reweight_neighbours=1), "every score 0"),
        (lambda m: m["members"][0]["scoring"].update(neighbours=9), "asks for 9 neighbours"),
        (lambda m: m.update(members=[]), "expected at least one"),
        (lambda m: m["calibration"].update(threshold=0.0), "changed after export"),
    ],
)
def test_an_edited_manifest_of_schema_3_is_refused(tmp_path, change, message):
    folder = shutil.copytree(SCHEMA_3 / "hnsw.edgead", tmp_path / "old.edgead")
    raw = json.loads((folder / FILE_NAME).read_text())
    change(raw)
    text = json.dumps(raw, indent=2, ensure_ascii=False) + "\n"
    (folder / FILE_NAME).write_text(text, encoding="utf-8")
    with pytest.raises(ArtifactError, match=message):
        read_manifest(folder)


def test_every_reader_writes_what_it_has_read(old):
    text = (old / FILE_NAME).read_text(encoding="utf-8")
    assert older.parse(strict.loads(text)).to_text() == text
