"""Ways to search faster that were tried and left out: python -m benchmarks.search.tried.

On the bank of 25,088 x 384 of `benchmarks.search.measure`, beside what is there.

- *layer-wise*: the inner products of the deeper map with the bank are linear in the map, so they
  could be computed on its own coarse grid (a quarter of the patches) and enlarged like it: exact,
  and half the multiplications, but every product is then read and written again several times.
- *usearch*: its HNSW instead of hnswlib's, over the same codes, in float32 and in 8-bit integers,
  which need no compiler on the device and a quarter of the memory.
- *warm start*: only every second patch of every second row asks the index; the others begin with
  what the patches around them have found, and try it for more rounds.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.harness.clock import repeated_ms
from benchmarks.harness.datasets import read_data_set
from benchmarks.harness.record import add_draft_option, check_tree, data_root, write_record
from benchmarks.search.features import FITTED, GRID, Extractor, FloatArray
from benchmarks.search.libraries import Find
from benchmarks.search.methods import distances, read_index
from edge_ad.features.coreset import greedy_coreset
from edge_ad_export.search.index import build_index
from edge_ad_runtime.artifact.head_records import HnswSearchRecord
from edge_ad_runtime.heads.index_files import INDEX
from edge_ad_runtime.search.candidates import nearest_of, with_those_around
from edge_ad_runtime.search.codes import Codes
from edge_ad_runtime.search.exact import ExactSearch
from edge_ad_runtime.search.hnsw import HnswSearch

ROWS, SHALLOW = 25_088, 128  # of 384 dimensions, the shallower layer's
BLOCK_ROWS = 512
REPEATS = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add_draft_option(parser)
    options = parser.parse_args()
    commit = check_tree(draft=options.draft)
    extractor = Extractor(384)
    data = read_data_set(data_root() / "data/magnetic-tile")
    patches = np.concatenate([extractor.of(path) for path in data.good[: FITTED[384]]])
    bank = patches[greedy_coreset(patches, ROWS, progress=True)]
    order = np.random.default_rng(0).permutation(len(data.test))[:8]
    test = [extractor.of(data.test[i].path) for i in order]
    exact = ExactSearch(bank)
    true = [distances(q, bank, exact.nearest(q).rows[:, 0]) for q in test]
    settings = HnswSearchRecord(
        code_dimension=64, links=16, ef_construction=200,
        ef_search=8, candidates=8, rounds=2, reason="",
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        projection = build_index(bank, settings, 0, Path(folder))
        index = read_index(Path(folder) / INDEX, bank, projection, settings)
    results: dict[str, dict[str, Any]] = {
        "matrix product": {"ms": [_ms(product_of, bank, q) for q in test]},
        "layer-wise": {"ms": [_ms(layer_wise, bank, q) for q in test]},
    }
    for name, find in _ways(index, projection, bank, settings).items():
        found = [distances(q, bank, find(q)) for q in test]
        errors = [float((d - t).mean() / t.mean()) for d, t in zip(found, true, strict=True)]
        results[name] = {
            "ms": [_ms(find, q) for q in test],
            "map_error_mean": float(np.mean(errors)),
        }
    for name, about in results.items():
        print(name, f"{np.median(about['ms']):.1f} ms", about.get("map_error_mean", ""))
    write_record("tried", commit, {"rows": ROWS, "width": 384, "ways": results})


def _ways(
    index: HnswSearch, projection: FloatArray, bank: FloatArray, settings: HnswSearchRecord
) -> dict[str, Find]:
    """Each way to use an index, and the one that is there."""
    ways: dict[str, Find] = {"index": lambda q: index.nearest(q).rows[:, 0]}
    if find_spec("usearch") is not None:
        for dtype in ("f32", "i8"):
            for ef in (8, 16):
                ways[f"usearch {dtype}, ef {ef}"] = Usearch(projection, bank, settings, dtype, ef)
    for rounds in (2, 4, 8):
        ways[f"warm start, {rounds} rounds"] = WarmStart(index, bank, settings, rounds)
    return ways


def product_of(bank: FloatArray, queries: FloatArray) -> None:
    for start in range(0, len(bank), BLOCK_ROWS):
        queries @ bank[start : start + BLOCK_ROWS].T


def layer_wise(bank: FloatArray, queries: FloatArray) -> None:
    """The same products; the deeper half from its own grid of half the side."""
    shallow, coarse = queries[:, :SHALLOW], queries[: len(queries) // 4, SHALLOW:]
    rows, cols = GRID
    for start in range(0, len(bank), BLOCK_ROWS):
        block = bank[start : start + BLOCK_ROWS]
        deep = (coarse @ block[:, SHALLOW:].T).reshape(rows // 2, cols // 2, -1)
        tall = _doubled(deep)
        wide = _doubled(tall.transpose(1, 0, 2)).transpose(1, 0, 2)
        products = shallow @ block[:, :SHALLOW].T
        products += wide.reshape(len(queries), -1)


def _doubled(values: FloatArray) -> FloatArray:
    """Bilinear along the first axis, half-pixel centres."""
    padded = np.concatenate([values[:1], values, values[-1:]])
    out = np.empty((2 * len(values), *values.shape[1:]), np.float32)
    out[0::2] = 0.25 * padded[:-2] + 0.75 * padded[1:-1]
    out[1::2] = 0.75 * padded[1:-1] + 0.25 * padded[2:]
    return out


class Usearch:
    """What there is, with another library's index; called with queries, it gives their rows."""

    def __init__(
        self,
        projection: FloatArray,
        bank: FloatArray,
        settings: HnswSearchRecord,
        dtype: str,
        ef: int,
    ) -> None:
        from usearch.index import Index

        self._codes = Codes(projection, bank)
        self._bank = bank
        self._half_sq_norms = np.einsum("nd,nd->n", bank, bank) / 2
        self._settings = settings
        self._scale = 127 / float(np.abs(self._codes.rows).max()) if dtype == "i8" else None
        self._index: Any = Index(
            ndim=self._codes.rows.shape[1], metric="l2sq", dtype=dtype,
            connectivity=settings.links, expansion_add=settings.ef_construction,
            expansion_search=ef,
        )  # fmt: skip
        self._index.add(np.arange(len(bank)), self._stored(self._codes.rows), threads=2)

    def _stored(self, codes: FloatArray) -> NDArray[Any]:
        if self._scale is None:
            return codes
        return np.clip(np.round(codes * self._scale), -127, 127).astype(np.int8)

    def __call__(self, queries: FloatArray) -> NDArray[np.int64]:  # noqa: D102
        asked = self._stored(self._codes.encode(queries))
        keys = self._index.search(asked, self._settings.candidates, threads=2).keys
        candidates = np.asarray(keys, np.int64)
        best = nearest_of(queries, candidates, 1, self._bank, self._half_sq_norms)
        rounds = self._settings.rounds
        return _after_rounds(queries, best, self._bank, self._half_sq_norms, rounds)


class WarmStart:
    """A quarter of the patches ask the index; called with queries, it gives their rows."""

    def __init__(
        self, index: HnswSearch, bank: FloatArray, settings: HnswSearchRecord, rounds: int
    ) -> None:
        self._index = index
        self._bank = bank
        self._half_sq_norms = np.einsum("nd,nd->n", bank, bank) / 2
        self._settings = settings
        self._rounds = rounds

    def __call__(self, queries: FloatArray) -> NDArray[np.int64]:  # noqa: D102
        rows, cols = GRID
        grid = queries.reshape(rows, cols, -1)
        self._index.use(replace(self._settings, rounds=0))
        asked = np.ascontiguousarray(grid[::2, ::2]).reshape(-1, queries.shape[1])
        found = self._index.nearest(asked).rows[:, 0].reshape(rows // 2, cols // 2)
        best = found.repeat(2, axis=0).repeat(2, axis=1).reshape(-1, 1)
        self._index.use(self._settings)
        return _after_rounds(queries, best, self._bank, self._half_sq_norms, self._rounds)


def _after_rounds(
    queries: FloatArray,
    best: NDArray[np.int64],
    bank: FloatArray,
    half_sq_norms: FloatArray,
    rounds: int,
) -> NDArray[np.int64]:
    """The rows after all patches have tried, for so many rounds, what those around have found."""
    for _ in range(rounds):
        best = nearest_of(queries, with_those_around(best, GRID), 1, bank, half_sq_norms)
    return best[:, 0]


def _ms(work: Callable[..., object], *arguments: object) -> float:
    """The median over some repeats."""
    return float(np.median(repeated_ms(lambda: work(*arguments), REPEATS)))


if __name__ == "__main__":
    main()
