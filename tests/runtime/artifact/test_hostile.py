"""Files with hostile content under the right hash, as an attacker would export them."""

import os
import shutil
import struct
import subprocess
import sys
import zipfile
from io import BytesIO

import numpy as np
import pytest

from edge_ad_runtime import Detector
from edge_ad_runtime.artifact.folder import GRAPH
from edge_ad_runtime.artifact.npy import Shaped, parse_npy
from edge_ad_runtime.errors import ArtifactError, EdgeADError, EngineError
from edge_ad_runtime.heads.index_files import INDEX, PROJECTION
from edge_ad_runtime.heads.patch_search import BANK, BANK_NEIGHBOURS, FEATURES
from edge_ad_runtime.proof.verify import verify

VALUES = "reference/values.npz"
HEADER = struct.Struct("<6QiI3QdQ")  # of hnswlib's file


def npy(array: np.ndarray) -> bytes:
    buffer = BytesIO()
    np.save(buffer, array, allow_pickle=array.dtype.hasobject)
    return buffer.getvalue()


def header_only(shape: str, descr: str = "'<f4'") -> bytes:
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\0" + struct.pack("<H", len(text)) + text


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a .npy array"),
        (b"PK\x03\x04" + bytes(60), "not a .npy array"),
        (b"\x80\x04cposix\nsystem\n(S'id'\ntR.", "not a .npy array"),
        (npy(np.array([{}], object)), "its header is not NumPy's"),
        (header_only("(__import__('os').abort(),)"), "its header is not NumPy's"),
        (header_only("(" * 3000), "its header is not NumPy's"),
        (header_only("(-1, 64)"), "its header is not NumPy's"),
        (header_only("(4,)", "[('a', '<f4', (10**9,))]"), "its header is not NumPy's"),
        (header_only("(1099511627776, 64)"), r"holds float32 of shape \(1099511627776, 64\)"),
        (header_only("(3, 2)"), "0 bytes of data, 24 make float32 of shape"),
        (npy(np.zeros((3, 2), "<f8")), r"holds float64 of shape \(3, 2\) in C order"),
        (npy(np.zeros((3, 2), ">f4")), "holds >f4"),
        (npy(np.zeros((2, 3), "<f4").T), r"shape \(3, 2\) in Fortran order"),
        (npy(np.zeros((3, 3), "<f4")), r"shape \(3, 3\) in C order, the manifest says float32"),
        (npy(np.zeros((3, 2), "<f4"))[:-1], "23 bytes of data"),
        (npy(np.zeros((3, 2), "<f4"))[:9], "not a .npy array"),
    ],
)
def test_what_is_not_the_expected_array_is_refused(content, message):
    with pytest.raises(ValueError, match=message):
        parse_npy(np.frombuffer(content, np.uint8), Shaped(np.float32, (3, 2)))


@pytest.mark.parametrize("version", [1, 2, 3])
@pytest.mark.parametrize("array", [np.eye(3, 2, dtype="<f4"), np.zeros((), "<f4")], ids=str)
def test_an_array_is_read_as_numpy_reads_it(array, version):
    buffer = BytesIO()
    np.lib.format.write_array(buffer, array, version=(version, 0))
    content = np.frombuffer(buffer.getvalue(), np.uint8)
    assert np.array_equal(parse_npy(content, Shaped(np.float32, array.shape)), array)


@pytest.mark.parametrize("name", [BANK, PROJECTION])
@pytest.mark.parametrize("number", [np.nan, np.inf, 1e38])
def test_numbers_that_nothing_can_be_computed_with_are_refused(artifact, reseal, name, number):
    array = np.load(artifact / name)
    for row in (0, array.shape[0] // 2):
        array[row, 3] = number
        reseal(name, npy(array))
        with np.errstate(all="ignore"), pytest.raises(ArtifactError):
            Detector.load(artifact)


@pytest.mark.parametrize("change", [np.zeros_like, np.ones_like, lambda a: 2 * a])
def test_a_projection_that_proves_nothing_is_refused(artifact, reseal, change):
    reseal(PROJECTION, npy(change(np.load(artifact / PROJECTION))))
    with pytest.raises(ArtifactError, match="not orthonormal"):
        Detector.load(artifact)


@pytest.mark.parametrize("row", [-1, 832, 2**31 - 1])
def test_neighbours_outside_the_bank_are_refused(artifact, reseal, row):
    rows = np.load(artifact / BANK_NEIGHBOURS)
    rows[3, 3] = row
    reseal(BANK_NEIGHBOURS, npy(rows))
    with pytest.raises(ArtifactError, match="outside the bank"):
        Detector.load(artifact)


def test_a_threshold_that_no_image_can_reach_is_refused(artifact, set_threshold):
    set_threshold(artifact, 1e6)
    with pytest.raises(ArtifactError, match="no image could be anomalous: the threshold is 1e"):
        Detector.load(artifact)


def test_a_scale_with_which_no_image_reaches_the_threshold_is_refused(artifact, resign):
    resign(artifact, lambda manifest: manifest["members"][0].update(scale=1e9))
    with pytest.raises(ArtifactError, match="no image could be anomalous"):
        Detector.load(artifact)


class Index:
    """hnswlib's file, to be damaged in one place at a time."""

    def __init__(self, content: bytes) -> None:
        self.content = bytearray(content)
        self.fields = list(HEADER.unpack_from(content))
        self.rows, self.row_bytes, self.label_at, self.data_at = self.fields[2:6]
        self.end_of_level0 = HEADER.size + self.rows * self.row_bytes

    def with_field(self, index: int, value: float) -> bytes:
        self.fields[index] = value
        HEADER.pack_into(self.content, 0, *self.fields)
        return bytes(self.content)

    def with_words(self, at: int, *words: int) -> bytes:
        struct.pack_into(f"<{len(words)}I", self.content, at, *words)
        return bytes(self.content)

    def row(self, row: int) -> int:
        return HEADER.size + row * self.row_bytes

    @property
    def first_upper_list(self) -> int:
        """Where the first row that is on level 1 says how many bytes its lists have."""
        at = self.end_of_level0
        while not any(self.content[at : at + 4]):
            at += 4
        return at


INDEX_DAMAGE = {
    "capacity": lambda i: i.with_field(1, 5_000_000),
    "capacity of 2^60": lambda i: i.with_field(1, 2**60),
    "top level": lambda i: i.with_field(6, i.fields[6] + 1),
    "top level far too high": lambda i: i.with_field(6, 2**31 - 1),
    "top level 0": lambda i: i.with_field(6, 0),
    "entry on level 0": lambda i: i.with_field(7, 0 if i.fields[7] else 1),
    "entry beyond": lambda i: i.with_field(7, i.rows),
    "fewer rows": lambda i: i.with_field(2, i.rows - 1),
    "label beyond": lambda i: i.with_words(i.row(3) + i.label_at, i.rows + 5, 0),
    "label negative": lambda i: i.with_words(i.row(3) + i.label_at, 2**32 - 1, 2**32 - 1),
    "label twice": lambda i: i.with_words(i.row(3) + i.label_at, 4, 0),
    "more links than room": lambda i: i.with_words(i.row(3), 33),
    "a row marked as deleted": lambda i: i.with_words(i.row(3), 1 << 16 | 4),
    "link beyond": lambda i: i.with_words(i.row(3) + 4, i.rows),
    "link far beyond": lambda i: i.with_words(i.row(3) + 4, 2**31),
    "vector not a number": lambda i: i.with_words(i.row(3) + i.data_at, 0x7FC00000),
    "another vector": lambda i: i.with_words(i.row(3) + i.data_at, 0x42C80000),
    "list size odd": lambda i: i.with_words(i.first_upper_list, 4),
    "list size beyond": lambda i: i.with_words(i.first_upper_list, 68 * 63 * 10**6),
    "list size larger": lambda i: i.with_words(i.first_upper_list, 2 * 68),
    "list size 0": lambda i: i.with_words(i.first_upper_list, 0),
    "upper links beyond": lambda i: i.with_words(i.first_upper_list + 8, i.rows),
    "upper links to level 0": lambda i: i.with_words(i.first_upper_list + 4, 2, 0, 1),
    "more upper links than room": lambda i: i.with_words(i.first_upper_list + 4, 17),
    "cut": lambda i: bytes(i.content[:-1]),
    "cut by a word": lambda i: bytes(i.content[:-4]),
    "longer": lambda i: bytes(i.content) + bytes(4),
}


@pytest.mark.parametrize("damage", INDEX_DAMAGE)
def test_an_index_that_would_lead_hnswlib_astray_is_refused(artifact, reseal, monkeypatch, damage):
    reseal(INDEX, INDEX_DAMAGE[damage](Index((artifact / INDEX).read_bytes())))
    monkeypatch.setattr("edge_ad_runtime.search.hnsw._load", lambda *_: pytest.fail("loaded"))
    with pytest.raises(ArtifactError, match="export again") as caught:
        Detector.load(artifact)
    assert caught.value.path == artifact / INDEX


def values_of(artifact) -> dict[str, np.ndarray]:
    with np.load(artifact / VALUES) as archive:
        return dict(archive)


def npz(values: dict[str, np.ndarray], save=np.savez) -> bytes:
    buffer = BytesIO()
    save(buffer, **values)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda v: {**v, "0.score": np.array([1.0, 2.0])}, "0.score holds float64 of shape"),
        (lambda v: {**v, "0.score": np.array(np.nan)}, "0.score holds numbers that are not finite"),
        (lambda v: {**v, "0.score": np.array("one")}, "0.score not a .npy array|0.score holds"),
        (lambda v: {**v, "0.map": np.zeros((2, 3), np.float32)}, "0.map holds float32"),
        (lambda v: {**v, "0.0.features": v["0.0.features"] * np.float32(np.nan)}, "not finite"),
        (lambda v: {**v, "0.preprocessed": np.zeros((3000, 3000, 3), np.uint8)}, "is 27000"),
        (lambda v: {k: a for k, a in v.items() if k != "1.map"}, "no item named '1.map.npy'"),
    ],
)
def test_reference_values_that_are_not_what_they_should_be_are_refused(
    artifact, reseal, change, message
):
    reseal(VALUES, npz(change(values_of(artifact))))
    with pytest.raises(ArtifactError, match=f"not the reference values: .*({message})"):
        verify(Detector.load(artifact))


@pytest.mark.parametrize("content", ["compressed", "bomb", "cut", "text"])
def test_an_archive_that_is_none_or_would_explode_is_refused(artifact, reseal, content):
    values, buffer = values_of(artifact), BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("0.preprocessed.npy", bytes(200_000_000))
    reseal(
        VALUES,
        {
            "compressed": lambda: npz(values, np.savez_compressed),
            "bomb": buffer.getvalue,
            "cut": lambda: npz(values)[:1000],
            "text": lambda: b"hello",
        }[content](),
    )
    with pytest.raises(ArtifactError, match="not the reference values"):
        verify(Detector.load(artifact))


@pytest.mark.parametrize("name", [BANK, BANK_NEIGHBOURS, GRAPH, INDEX, PROJECTION])
@pytest.mark.parametrize("search", ["artifact", "exact"])
def test_files_changed_under_a_running_detector_change_nothing(artifact, good_image, name, search):
    detector = Detector.load(artifact, search=search)
    before = detector.predict(good_image)
    size = (artifact / name).stat().st_size
    (artifact / name).write_bytes(np.random.default_rng(0).bytes(size))
    assert detector.predict(good_image).score == before.score
    os.truncate(artifact / name, 0)  # of a mapped file: SIGBUS
    assert np.array_equal(detector.predict(good_image).map, before.map)
    shutil.rmtree(artifact)
    assert detector.predict(good_image).score == before.score


@pytest.mark.parametrize("name", [BANK, GRAPH, INDEX, VALUES, "device.json"])
@pytest.mark.parametrize(
    "make",
    [
        os.mkfifo,
        lambda path: path.symlink_to("/dev/zero"),
        lambda path: path.symlink_to(path.name),
        lambda path: path.mkdir(),
    ],
    ids=["fifo", "device", "loop", "folder"],
)
def test_what_is_no_plain_file_is_refused_at_once(artifact, name, make):
    (artifact / name).unlink(missing_ok=True)
    make(artifact / name)
    with pytest.raises(ArtifactError, match="cannot be read"):
        verify(Detector.load(artifact))


def test_a_file_that_has_grown_is_not_read(artifact):
    os.truncate(artifact / BANK, 2**40)
    with pytest.raises(ArtifactError, match="the manifest says 213120 bytes"):
        Detector.load(artifact)


def test_a_fork_of_the_process_that_loaded_is_told_and_does_not_wait_for_ever(tiny, good_image):
    """In a process of its own: forking this one would copy the threads of other tests."""
    code = (
        "import os, signal, sys\n"
        "from edge_ad_runtime import Detector\n"
        "from edge_ad_runtime.errors import EngineError\n"
        "detector = Detector.load(sys.argv[1])\n"
        "if os.fork() == 0:\n"
        "    signal.alarm(20)\n"
        "    try:\n"
        "        detector.predict(sys.argv[2])\n"
        "    except EngineError as exc:\n"
        "        os._exit(0 if 'in a fork of it' in str(exc) else 1)\n"
        "    os._exit(2)\n"
        "_, status = os.wait()\n"
        "detector.predict(sys.argv[2])\n"
        "sys.exit(0 if status == 0 else 1)\n"
    )
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", code, tiny, good_image]
    assert subprocess.run(command, check=False).returncode == 0


def test_a_fork_gets_an_engine_error(tiny, good_image, monkeypatch):
    detector = Detector.load(tiny)
    monkeypatch.setattr(os, "getpid", lambda: -1)
    with pytest.raises(EngineError, match="load it in the process that uses it"):
        detector.predict(good_image)


@pytest.mark.parametrize("value", [1e16, 1e38, -1e38, np.nan, np.inf])
def test_features_that_are_too_large_to_square_are_an_error(tiny, good_image, monkeypatch, value):
    """Their distances overflowed, no row was within them, and the search failed on shapes."""
    detector = Detector.load(tiny)
    run = detector.engine.run

    def overflowing(images):
        features = run(images)[FEATURES].copy()
        features[0, 3, 3, 3] = value
        return {FEATURES: features}

    monkeypatch.setattr(detector.engine, "run", overflowing)
    with pytest.raises(EdgeADError, match="not finite, or too large to square"):
        detector.predict(good_image)
