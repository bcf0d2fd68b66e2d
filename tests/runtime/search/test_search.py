import struct
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import hnswlib
import numpy as np
import pytest
from threadpoolctl import ThreadpoolController

from edge_ad_runtime.artifact.head_records import HnswSearchRecord
from edge_ad_runtime.errors import ArtifactError, ShapeError
from edge_ad_runtime.search.candidates import nearest_of, with_those_around
from edge_ad_runtime.search.codes import Codes
from edge_ad_runtime.search.exact import ExactSearch
from edge_ad_runtime.search.hnsw import HnswSearch
from edge_ad_runtime.search.index_file import read_header

RNG = np.random.default_rng(0)
BANK = RNG.standard_normal((5000, 24)).astype(np.float32)  # more rows than one block
QUERIES = RNG.standard_normal((50, 24)).astype(np.float32)


def projection_of(bank: np.ndarray, dimension: int = 8) -> np.ndarray:
    """The mean and random orthonormal axes: as good as principal ones, but for speed."""
    axes, _ = np.linalg.qr(np.random.default_rng(1).standard_normal((bank.shape[1], dimension)))
    return np.vstack([bank.mean(axis=0), axes.T]).astype(np.float32)


def save_index(folder: Path, bank: np.ndarray) -> Path:
    codes = Codes(projection_of(bank), bank).rows
    index = hnswlib.Index(space="l2", dim=codes.shape[1])
    index.init_index(max_elements=len(bank), M=16, ef_construction=100, random_seed=0)
    index.add_items(codes, num_threads=1)
    index.save_index(str(folder / "index.hnsw"))
    return folder / "index.hnsw"


def hnsw(
    path: Path, bank: np.ndarray = BANK, *, ef: int = 2000, grid=(5, 10), rounds=1
) -> HnswSearch:
    settings = HnswSearchRecord(
        code_dimension=8, links=16, ef_construction=100, ef_search=ef, candidates=ef,
        rounds=rounds, reason="",
    )  # fmt: skip
    return search_of(path, bank, projection_of(bank), settings, grid=grid)


def search_of(path: Path, *arguments, grid) -> HnswSearch:
    return HnswSearch(np.fromfile(path, np.uint8), *arguments, path=path, grid=grid)


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    return save_index(tmp_path_factory.mktemp("index"), BANK)


@pytest.fixture(params=["exact", "hnsw"])
def search(request, index):
    return ExactSearch(BANK) if request.param == "exact" else hnsw(index)


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
    for search in (ExactSearch(one), hnsw(save_index(tmp_path, one), one, ef=10)):
        assert search.nearest(QUERIES).rows.tolist() == [[0]] * 50


def test_an_approximate_distance_is_never_below_the_true_one_and_the_largest_is_exact(index):
    rough = hnsw(index, ef=1, rounds=0).nearest(QUERIES)
    true = ExactSearch(BANK).nearest(QUERIES)
    assert (rough.distances >= true.distances - 1e-6).all()
    assert (rough.distances > true.distances + 1e-3).any()  # ef 1 does miss some
    assert rough.scanned < len(QUERIES)
    farthest = rough.distances[:, 0].argmax()
    assert farthest == true.distances[:, 0].argmax()
    assert rough.distances[farthest] == pytest.approx(true.distances[farthest], rel=1e-6)
    assert rough.rows[farthest] == true.rows[farthest]
    assert rough.distances[farthest] >= rough.bound > 0 == true.bound


def test_the_header_is_read_without_hnswlib(index):
    header = read_header(np.fromfile(index, np.uint8))
    assert (header.rows, header.dimension, header.links, header.ef_construction) == (
        (5000, 9, 16, 100)
    )


@pytest.mark.parametrize("bank", [BANK[:-1], np.vstack([BANK, BANK[:1]])])
def test_an_index_of_another_bank_is_refused(index, bank):
    with pytest.raises(ArtifactError, match="different exports"):
        hnsw(index, bank, ef=10)


def test_an_index_of_another_code_dimension_is_refused(index):
    settings = hnsw(index)._settings
    with pytest.raises(ArtifactError, match=r"codes are \(5000, 10\); .* different exports"):
        search_of(index, BANK, projection_of(BANK, 9), settings, grid=(5, 10))


def test_an_index_that_reaches_fewer_rows_than_asked_for_is_refused(index, monkeypatch):
    class Islands:  # hnswlib's answer where the entry point's component is too small
        def knn_query(self, *arguments, **settings):
            raise RuntimeError("Cannot return the results in a contiguous 2D array.")

    search = hnsw(index)
    monkeypatch.setattr(search, "_index", Islands())
    with pytest.raises(ArtifactError, match="finds no 2000 neighbours"):
        search.nearest(QUERIES)


def test_patches_around_know_better_than_poor_candidates():
    rng = np.random.default_rng(0)
    smooth = np.repeat(np.repeat(rng.standard_normal((4, 4, 24)), 4, axis=0), 4, axis=1)
    image = (smooth + 0.02 * rng.standard_normal((16, 16, 24))).reshape(-1, 24).astype(np.float32)
    candidates = np.random.default_rng(1).integers(0, len(BANK), (256, 40))
    half = np.einsum("nd,nd->n", BANK, BANK) / 2
    rows = nearest_of(image, candidates, 1, BANK, half)
    errors = []
    for _ in range(3):
        errors.append(np.linalg.norm(image - BANK[rows[:, 0]], axis=1).mean())
        rows = nearest_of(image, with_those_around(rows, (16, 16)), 1, BANK, half)
    true = ExactSearch(BANK).nearest(image).distances.mean()
    assert errors[1] - true < 0.95 * (errors[0] - true)
    assert errors[2] - true < 0.95 * (errors[1] - true)


def test_only_queries_that_fill_the_grid_ask_around(index, monkeypatch):
    asked = []

    def ask(rows, grid):
        asked.append(grid)
        return with_those_around(rows, grid)

    monkeypatch.setattr("edge_ad_runtime.search.hnsw.with_those_around", ask)
    search = hnsw(index, grid=(5, 10), rounds=2)
    search.nearest(QUERIES[:49])
    assert asked == []
    search.nearest(QUERIES)
    assert asked == [(5, 10), (5, 10)]


def test_truncated_index_files_are_refused(index, tmp_path):
    whole = index.read_bytes()
    path = tmp_path / "index.hnsw"
    for length in (0, 1, 50, 95, 96, 97, 1000, len(whole) // 2):
        path.write_bytes(whole[:length])
        with pytest.raises(ArtifactError):
            hnsw(path, ef=10)


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
                hnsw(path, ef=10)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
@pytest.mark.parametrize("shift", [0.0, 30.0])
@pytest.mark.parametrize("dimension", [1, 8, 24])
def test_codes_pass_over_no_row_that_is_near_enough(dimension, shift, scale):
    bank = (scale * (BANK + shift)).astype(np.float32)
    codes = Codes(projection_of(bank, dimension), bank)
    for query in (scale * (QUERIES[:20] + shift)).astype(np.float32):
        distances = np.linalg.norm(bank.astype(np.float64) - query, axis=1)
        for nearest in (1, 50):
            limit = np.partition(distances, nearest - 1)[nearest - 1]
            assert set(np.flatnonzero(distances <= limit)) <= set(codes.within(query, limit))


def test_fast_codes_are_the_precise_ones_but_for_rounding():
    codes = Codes(projection_of(BANK), BANK)
    assert np.allclose(codes.encode(BANK), codes.rows, atol=1e-3)


def test_codes_pass_over_most_rows():
    bank = BANK * np.geomspace(10, 0.1, 24, dtype=np.float32)
    axes = np.vstack([bank.mean(axis=0), np.eye(8, 24)]).astype(np.float32)
    near = ExactSearch(bank).nearest(bank[:20] + np.float32(0.1)).distances[:, 0]
    codes = Codes(axes, bank)
    kept = [len(codes.within(q + np.float32(0.1), d)) for q, d in zip(bank[:20], near, strict=True)]
    assert np.mean(kept) < 0.05 * len(bank)


@pytest.mark.parametrize("k", [1, 2, 3])
def test_the_nearest_of_candidates_are_different_rows(k):
    candidates = RNG.integers(0, 12, (50, 9))  # many of them twice
    candidates[:, :3] = [20, 21, 22]
    half = np.einsum("nd,nd->n", BANK, BANK) / 2
    found = nearest_of(QUERIES, candidates, k, BANK, half)
    for query, row, own in zip(QUERIES, found, candidates, strict=True):
        different = np.unique(own)
        order = np.linalg.norm(BANK[different] - query, axis=1).argsort()[:k]
        assert sorted(row) == sorted(different[order])


def test_those_around_are_above_below_left_and_right():
    around = with_those_around(np.arange(6)[:, np.newaxis], (2, 3))
    assert around[4].tolist() == [4, 1, 4, 3, 5]  # at the border: itself
    assert around[0].tolist() == [0, 0, 3, 0, 1]


def test_blas_has_its_threads_again_after_a_search_from_several_threads(index):
    controller = ThreadpoolController()
    before = [library["num_threads"] for library in controller.info()]
    search = hnsw(index, ef=10)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: search.nearest(QUERIES).rows.tolist(), range(40)))
    assert all(rows == found[0] for rows in found)
    assert [library["num_threads"] for library in controller.info()] == before
