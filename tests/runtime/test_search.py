import struct
from pathlib import Path

import hnswlib
import numpy as np
import pytest

from edge_ad_runtime.errors import ArtifactError, ShapeError
from edge_ad_runtime.search.exact import ExactSearch
from edge_ad_runtime.search.hnsw import HnswSearch, read_header

RNG = np.random.default_rng(0)
BANK = RNG.standard_normal((5000, 24)).astype(np.float32)  # more rows than one block
QUERIES = RNG.standard_normal((50, 24)).astype(np.float32)


def save_index(folder: Path, bank: np.ndarray) -> Path:
    index = hnswlib.Index(space="l2", dim=bank.shape[1])
    index.init_index(max_elements=len(bank), M=16, ef_construction=100, random_seed=0)
    index.add_items(bank, num_threads=1)
    index.save_index(str(folder / "index.hnsw"))
    return folder / "index.hnsw"


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    return save_index(tmp_path_factory.mktemp("index"), BANK)


@pytest.fixture(params=["exact", "hnsw"])
def search(request, index):
    return ExactSearch(BANK) if request.param == "exact" else HnswSearch(index, BANK, ef_search=200)


def test_it_finds_the_nearest_row_and_its_plain_distance(search):
    every = np.linalg.norm(QUERIES[:, None] - BANK[None], axis=2)
    found = search.nearest(QUERIES)
    assert found.rows[:, 0].tolist() == every.argmin(axis=1).tolist()
    assert np.allclose(found.distances[:, 0], every.min(axis=1), rtol=1e-6)
    assert (found.distances.dtype, found.rows.dtype) == (np.float32, np.int64)


@pytest.mark.parametrize("k", [1, 2, 7])
def test_it_finds_the_k_nearest_nearest_first(search, k):
    every = np.linalg.norm(QUERIES[:, None] - BANK[None], axis=2)
    found = search.nearest(QUERIES, k)
    assert found.rows.tolist() == every.argsort(axis=1)[:, :k].tolist()
    assert np.allclose(found.distances, np.sort(every, axis=1)[:, :k], rtol=1e-6)


def test_a_bank_row_is_at_distance_zero_from_itself(search):
    found = search.nearest(BANK[:100])
    assert found.rows[:, 0].tolist() == list(range(100))
    assert found.distances.max() == 0


def test_distances_stay_true_far_from_the_origin():
    far = BANK + 1000
    found = ExactSearch(far).nearest(far[:20] + np.float32(0.25))
    expected = np.linalg.norm(far[:20] + np.float32(0.25) - far[found.rows[:, 0]], axis=1)
    assert np.allclose(found.distances[:, 0], expected, rtol=1e-6)


@pytest.mark.parametrize("shape", [(5, 23), (5, 25), (24,), (2, 5, 24)])
def test_a_query_of_wrong_width_is_refused(search, shape):
    with pytest.raises(ShapeError, match=r"the bank holds \(n, 24\)"):
        search.nearest(np.zeros(shape, np.float32))


def test_a_bank_of_one_row_works(tmp_path):
    one = BANK[:1]
    for search in (ExactSearch(one), HnswSearch(save_index(tmp_path, one), one, ef_search=10)):
        assert search.nearest(QUERIES).rows.tolist() == [[0]] * 50


def test_an_approximate_distance_is_never_below_the_true_one_and_the_largest_is_exact(index):
    rough = HnswSearch(index, BANK, ef_search=1).nearest(QUERIES)
    true = ExactSearch(BANK).nearest(QUERIES)
    assert (rough.distances >= true.distances - 1e-6).all()
    assert (rough.distances > true.distances + 1e-3).any()  # ef 1 does miss some
    assert rough.scanned < len(QUERIES)
    farthest = rough.distances[:, 0].argmax()
    assert farthest == true.distances[:, 0].argmax()
    assert rough.distances[farthest] == true.distances[farthest]
    assert rough.rows[farthest] == true.rows[farthest]


def test_the_header_is_read_without_hnswlib(index):
    header = read_header(index)
    assert (header.rows, header.dimension, header.links, header.ef_construction) == (
        (5000, 24, 16, 100)
    )


@pytest.mark.parametrize("bank", [BANK[:, :23], BANK[:-1], np.vstack([BANK, BANK[:1]])])
def test_an_index_of_another_bank_is_refused(index, bank):
    with pytest.raises(ArtifactError, match="different exports"):
        HnswSearch(index, bank, ef_search=10)


def test_an_index_that_holds_fewer_rows_than_asked_for_is_refused(tmp_path):
    few = HnswSearch(save_index(tmp_path, BANK[:5]), BANK[:5], ef_search=10)
    with pytest.raises(ArtifactError, match="finds no 6 neighbours"):
        few.nearest(QUERIES, 6)


def test_truncated_index_files_are_refused(index, tmp_path):
    whole = index.read_bytes()
    path = tmp_path / "index.hnsw"
    for length in (0, 1, 50, 95, 96, 97, 1000, len(whole) // 2):
        path.write_bytes(whole[:length])
        with pytest.raises(ArtifactError):
            HnswSearch(path, BANK, ef_search=10)


def test_every_damaged_size_in_the_header_is_refused_before_hnswlib_sees_it(index, tmp_path):
    whole = index.read_bytes()
    path = tmp_path / "index.hnsw"
    fields = {"rows": 16, "row bytes": 24, "label at": 32, "data at": 40, "entry": 52, "M": 72}
    for at in fields.values():
        for value in (0, 1, 2**31 - 1, 2**63 - 1):
            width = "<I" if at == 52 else "<Q"
            if (at, value) in ((52, 0), (52, 1)):
                continue  # another entry point is a valid one
            path.write_bytes(
                whole[:at]
                + struct.pack(width, min(value, 2**32 - 1) if at == 52 else value)
                + whole[at + struct.calcsize(width) :]
            )
            with pytest.raises(ArtifactError):
                HnswSearch(path, BANK, ef_search=10)
