"""An artifact as one file: packed, unpacked, used in the folder's place, and attacked."""

import io
import os
import shutil
import stat
import zipfile
from pathlib import Path

import pytest
from click.testing import CliRunner

from edge_ad_runtime import Detector
from edge_ad_runtime.artifact.folder import Artifact
from edge_ad_runtime.artifact.packed import pack, unpack
from edge_ad_runtime.artifact.unpacked import MOST_UNPACKED
from edge_ad_runtime.commands.main import main
from edge_ad_runtime.errors import ArtifactError, ConfigError


@pytest.fixture
def packed(tiny, tmp_path) -> Path:
    pack(tiny, tmp_path / "part 7.edgead.zip")
    return tmp_path / "part 7.edgead.zip"


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("EDGE_AD_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def changed(packed: Path, change) -> Path:
    """Write the archive anew, from a list of records and contents that ``change`` has edited."""
    with zipfile.ZipFile(packed) as archive:
        files = [(record, archive.read(record)) for record in archive.infolist()]
    files = change(files)
    with zipfile.ZipFile(packed, "w") as archive:
        for record, content in files:
            archive.writestr(record, content, compress_type=record.compress_type)
    return packed


def test_what_was_packed_is_unpacked_byte_for_byte(tiny, packed, tmp_path):
    folder = unpack(packed, tmp_path / "into")
    assert folder == tmp_path / "into" / "part 7.edgead"
    assert contents(folder) == contents(tiny)


def test_an_artifact_packs_to_the_same_bytes_whatever_tune_has_written_beside_it(
    artifact, tmp_path
):
    pack(artifact, tmp_path / "a.zip")
    (artifact / "device.json").write_text("{}")
    os.utime(artifact / "network.onnx", (0, 0))
    pack(artifact, tmp_path / "b.zip")
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()


def test_a_packed_artifact_gives_the_folders_scores_and_keeps_its_name(tiny, packed, good_image):
    with Detector.load(tiny) as folder, Detector.load(packed) as file:
        assert file.predict(good_image).score == folder.predict(good_image).score
        assert file.artifact.folder.name == "part 7.edgead"


@pytest.mark.parametrize("command", ["info", "verify", "threshold"])
def test_commands_take_the_archive_in_the_folders_place(tiny, packed, command):
    result = CliRunner().invoke(main, [command, str(packed)])
    assert result.exit_code == 0, result.output


def test_pack_is_a_command_that_names_the_archive_after_the_artifact(artifact):
    result = CliRunner().invoke(main, ["pack", str(artifact)])
    assert result.exit_code == 0
    assert Artifact.open(artifact.with_name(artifact.name + ".zip")).manifest
    again = CliRunner().invoke(main, ["pack", str(artifact)])
    assert again.exit_code == 1
    assert "already exists; give another name, or --overwrite" in again.stderr


def test_an_archive_is_unpacked_once_and_again_if_the_cache_was_damaged(packed):
    folder = Artifact.open(packed).folder
    (folder / "device.json").write_text("tuned")
    assert Artifact.open(packed).folder == folder
    assert (folder / "device.json").exists()
    (folder / "network.onnx").unlink()
    assert not Artifact.open(packed).missing()


def test_another_archive_of_the_same_name_is_not_taken_for_the_first(
    packed, artifact, set_threshold
):
    before = Artifact.open(packed).manifest
    set_threshold(artifact, 123.0)
    pack(artifact, packed, overwrite=True)
    assert before.calibration.threshold != 123.0
    assert Artifact.open(packed).manifest.calibration.threshold == 123.0


def test_the_cache_keeps_what_was_used_last(packed, artifact, set_threshold, cache):
    for i in range(MOST_UNPACKED + 2):
        set_threshold(artifact, 1.0 + i)
        pack(artifact, packed, overwrite=True)
        Artifact.open(packed)
    assert len(list(cache.iterdir())) == MOST_UNPACKED
    assert not Artifact.open(packed).missing()


def test_a_cache_that_cannot_be_written_is_told_with_what_to_do(packed, cache):
    cache.write_text("in the way")
    with pytest.raises(ArtifactError, match="set EDGE_AD_CACHE to a folder"):
        Artifact.open(packed)


def test_a_damaged_artifact_is_not_packed(artifact, tmp_path):
    (artifact / "bank.npy").write_bytes(b"short")
    with pytest.raises(ArtifactError, match="bank.npy: is not what the manifest says"):
        pack(artifact, tmp_path / "out.zip")
    assert not list(tmp_path.glob("*out.zip*"))


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.999])
def test_half_a_copy_is_refused_and_leaves_nothing(packed, tmp_path, share):
    content = packed.read_bytes()
    packed.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(ArtifactError, match="copy the archive again"):
        unpack(packed, tmp_path / "into")
    assert not (tmp_path / "into").exists()


def test_a_copy_whose_end_is_zeros_is_refused(packed):
    content = packed.read_bytes()
    packed.write_bytes(content[:5000] + bytes(len(content) - 5000))
    with pytest.raises(ArtifactError, match="its end is missing"):
        Artifact.open(packed)


@pytest.mark.parametrize("at", [0.2, 0.6])
def test_a_flipped_bit_is_refused(packed, tmp_path, at):
    content = bytearray(packed.read_bytes())
    content[int(len(content) * at)] ^= 1
    packed.write_bytes(content)
    with pytest.raises(ArtifactError, match="copy the archive again"):
        unpack(packed, tmp_path / "into")
    assert not any((tmp_path / "into").glob("*"))


def test_what_is_no_archive_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("an artifact, perhaps" * 100)
    with pytest.raises(ArtifactError, match="no whole artifact in one file"):
        Artifact.open(tmp_path / "notes.txt")


HOSTILE = [
    "../evil",
    "/etc/evil",
    "a/../../evil",
    "C:\\evil",
    "evil\0.png",
    "reference/",
    "x" * 5000,
]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_that_the_manifest_does_not_list_is_refused(packed, tmp_path, name):
    changed(packed, lambda files: [(zipfile.ZipInfo(name), b"evil"), *files])
    with pytest.raises(ArtifactError, match="which the manifest does not list"):
        unpack(packed, tmp_path / "deep" / "into")
    assert not (tmp_path / "deep").exists()


def compressed(files):
    files[0][0].compress_type = zipfile.ZIP_DEFLATED
    return files


def linked(files):
    files[0][0].external_attr = (stat.S_IFLNK | 0o777) << 16
    return files


def longer(files):
    return [(files[0][0], files[0][1] + b"x"), *files[1:]]


def other(files):
    return [(files[0][0], bytes(len(files[0][1]))), *files[1:]]


def cut_manifest(files):
    return [*files[:-1], (files[-1][0], files[-1][1][:-9])]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (compressed, "is compressed"),
        (linked, "is no plain file"),
        (longer, "is not of the size that the manifest says"),
        (other, "is not what the manifest says"),
        (lambda files: files[1:], "is missing"),
        (lambda files: [files[-1], *files[:-1]], "its last file is not manifest.json"),
        (lambda files: files[:-1], "its last file is not manifest.json"),
        (lambda files: [], "its last file is not manifest.json"),
        (cut_manifest, "manifest.json"),
    ],
)
def test_an_archive_that_is_not_the_manifests_is_refused(packed, tmp_path, change, message):
    changed(packed, change)
    with pytest.raises(ArtifactError, match=message):
        unpack(packed, tmp_path / "into")
    assert not any((tmp_path / "into").glob("*"))


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_that_is_there_twice_is_refused(packed, tmp_path):
    changed(packed, lambda files: [files[0], *files])
    with pytest.raises(ArtifactError, match="holds a name twice"):
        unpack(packed, tmp_path / "into")


def test_a_directory_that_claims_to_be_huge_is_refused_unread(packed):
    content = bytearray(packed.read_bytes())
    content[-10:-6] = (1 << 30).to_bytes(4, "little")
    packed.write_bytes(content)
    with pytest.raises(ArtifactError, match="its directory has 1,073,741,824 bytes"):
        Artifact.open(packed)


def test_every_byte_of_the_directory_may_be_wrong(packed, tmp_path):
    content = packed.read_bytes()
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        start = archive.start_dir
    for at in range(start, len(content)):
        damaged = bytearray(content)
        damaged[at] ^= 0xFF
        packed.write_bytes(damaged)
        try:
            folder = unpack(packed, tmp_path / "into")
        except ArtifactError:
            assert not (tmp_path / "into").exists() or not any((tmp_path / "into").iterdir())
        else:  # a byte of no meaning, such as a time
            assert not Artifact.open(folder).missing()
            shutil.rmtree(tmp_path / "into")


def test_unpacking_over_a_folder_is_refused(packed, tmp_path):
    unpack(packed, tmp_path)
    with pytest.raises(ConfigError, match="already exists"):
        unpack(packed, tmp_path)
