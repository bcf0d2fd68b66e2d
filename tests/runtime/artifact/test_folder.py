import shutil

import numpy as np
import pytest

from edge_ad_runtime import Detector
from edge_ad_runtime.artifact.folder import Artifact, hash_file
from edge_ad_runtime.artifact.manifest import read_manifest
from edge_ad_runtime.errors import ArtifactError
from edge_ad_runtime.proof.verify import verify

FILES = [
    "bank.npy",
    "bank_neighbours.npy",
    "index.hnsw",
    "network.onnx",
    "projection.npy",
    "reference/0-good.png",
    "reference/0-stain.png",
    "reference/values.npz",
]


def test_the_list_above_is_the_whole_artifact(tiny):
    assert sorted(read_manifest(tiny).files) == FILES


@pytest.mark.parametrize("name", FILES)
def test_one_changed_byte_anywhere_is_refused(artifact, name):
    path = artifact / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(ArtifactError, match="SHA-256 is not the manifest's") as caught:
        verify(Detector.load(artifact))
    assert caught.value.path == path


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_refused(artifact, name):
    (artifact / name).unlink()
    with pytest.raises(ArtifactError, match="missing"):
        verify(Detector.load(artifact))


@pytest.mark.parametrize("name", FILES)
def test_a_truncated_file_is_refused(artifact, name):
    path = artifact / name
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ArtifactError, match="bytes, the manifest says"):
        verify(Detector.load(artifact))


@pytest.mark.parametrize("name", ["bank.npy", "bank_neighbours.npy"])
def test_a_bank_from_another_export_is_refused_even_with_the_right_hash(artifact, resign, name):
    other = np.load(artifact / name)[:-1]
    np.save(artifact / name, other)

    def rehash(manifest):
        entry = hash_file(artifact / name)
        manifest["files"][name] = {"size_bytes": entry.size_bytes, "sha256": entry.sha256}

    resign(artifact, rehash)
    with pytest.raises(ArtifactError, match="come from different exports"):
        Detector.load(artifact)


def test_an_index_of_another_dimension_is_refused_even_with_the_right_hash(artifact, resign):
    import hnswlib

    index = hnswlib.Index(space="l2", dim=32)
    index.init_index(max_elements=256, M=16)
    index.add_items(np.random.default_rng(0).random((256, 32), np.float32), num_threads=1)
    index.save_index(str(artifact / "index.hnsw"))

    def rehash(manifest):
        entry = hash_file(artifact / "index.hnsw")
        manifest["files"]["index.hnsw"] = {"size_bytes": entry.size_bytes, "sha256": entry.sha256}

    resign(artifact, rehash)
    with pytest.raises(
        ArtifactError, match=r"vectors of shape \(256, 32\), the bank.s codes are \(832, 65\)"
    ):
        Detector.load(artifact)


def test_a_graph_that_gives_other_features_than_the_manifest_says_is_refused(artifact, resign):
    def widen(manifest):
        member = manifest["members"][0]
        member["head"]["grid"] = [16, 21]
        member["network"]["outputs"]["features"]["shape"] = [16, 21, 64]

    resign(artifact, widen)
    with pytest.raises(ArtifactError, match="different exports"):
        Detector.load(artifact)


@pytest.mark.parametrize("output", [{"shape": [16, 21, 64]}, {"dtype": "int64"}, {"shape": []}])
def test_outputs_that_the_head_cannot_use_are_refused(artifact, resign, output):
    def change(manifest):
        manifest["members"][0]["network"]["outputs"]["features"].update(output)

    resign(artifact, change)
    with pytest.raises(ArtifactError, match="head patch-search needs float32 of shape"):
        Detector.load(artifact)


@pytest.mark.parametrize(
    ("tolerances", "message"),
    [
        ({"score": 0.5}, "tolerances.score is 0.5; 0.1 is the most"),
        ({"map": 0.2}, "tolerances.map is 0.2"),
        ({"preprocess": 9.0}, "tolerances.preprocess is 9"),
        ({"other": 0.1}, "tolerances are of .*, other"),
    ],
)
def test_tolerances_that_prove_nothing_are_refused(artifact, resign, tolerances, message):
    resign(artifact, lambda manifest: manifest["tolerances"].update(tolerances))
    with pytest.raises(ArtifactError, match=message):
        Detector.load(artifact)


def test_neighbours_outside_the_bank_are_refused(artifact, resign):
    rows = np.load(artifact / "bank_neighbours.npy")
    rows[3, 3] = len(rows)
    np.save(artifact / "bank_neighbours.npy", rows)

    def rehash(manifest):
        entry = hash_file(artifact / "bank_neighbours.npy")
        manifest["files"]["bank_neighbours.npy"]["sha256"] = entry.sha256

    resign(artifact, rehash)
    with pytest.raises(ArtifactError, match="outside the bank"):
        Detector.load(artifact)


def test_scoring_does_not_need_the_reference_images(artifact, good_image):
    shutil.rmtree(artifact / "reference")
    assert Detector.load(artifact).predict(good_image).score > 0


def test_a_file_that_the_manifest_does_not_list_is_never_opened(artifact):
    (artifact / "Thumbs.db").write_bytes(b"left by a file manager")
    assert Artifact.open(artifact).check_all() > 0
    with pytest.raises(ArtifactError, match="lists no Thumbs.db"):
        Artifact.open(artifact).read("Thumbs.db")


@pytest.mark.parametrize("seed", range(80))
def test_a_hostile_index_is_refused_before_hnswlib_sees_a_byte(artifact, seed, monkeypatch):
    def see(*arguments):
        raise AssertionError("hnswlib saw it")

    monkeypatch.setattr("hnswlib.Index.load_index", see)
    rng = np.random.default_rng(seed)
    path = artifact / ("index.hnsw", "projection.npy", "bank.npy")[rng.integers(3)]
    whole = bytearray(path.read_bytes())
    at = int(rng.integers(len(whole)))
    changed = [
        whole[:at],  # truncated
        whole + rng.bytes(1 + at % 64),  # extended
        whole[:at] + bytes([whole[at] ^ (1 << rng.integers(8))]) + whole[at + 1 :],  # a bit flipped
        whole[:at] + rng.bytes(len(whole) - at),  # garbage from here on
        bytearray((artifact / "network.onnx").read_bytes()),  # swapped
    ]
    path.write_bytes(changed[rng.integers(len(changed))])
    with pytest.raises(ArtifactError) as caught:
        Detector.load(artifact)
    assert caught.value.path == path
