"""Nearest-neighbour search per image, on real features: python -m benchmarks.search.

Banks are greedy coresets of magnetic-tile features (ImageNet ResNet18, layers 2 and 3: 384 wide;
the same at neighbourhoods of 1, 3, 5 and 7 side by side: 1,536 wide). Per bank, all methods answer
the same images in turn: the plain matrix product in numpy, our exact search, our index with the
settings that `export` would choose (on held-out good images and damaged copies of them), and, where
installed, faiss, hnswlib, usearch and voyager as they come. Every distance is computed again here,
in float64, from the row that a method returns. Then every knob of our index is swept on two banks.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from typing import Any

import hnswlib
import numpy as np
from numpy.typing import NDArray

from benchmarks.datasets import read_data_set
from benchmarks.record import RESULTS, data_root, imagenet_resnet18, write_record
from edge_ad import PatchCoreConfig
from edge_ad.features.coreset import greedy_coreset
from edge_ad.features.patches import build_network, extract, load_preprocessed
from edge_ad.synthetic.damage import with_damage
from edge_ad_export import ExportConfig
from edge_ad_export.search.choice import build_index, choose_search
from edge_ad_runtime.artifact.folder import INDEX, PROJECTION
from edge_ad_runtime.artifact.manifest import SearchSettings
from edge_ad_runtime.search.exact import ExactSearch
from edge_ad_runtime.search.hnsw import HnswSearch

FloatArray = NDArray[np.float32]
Find = Callable[[FloatArray], NDArray[np.int64]]  # (q, D) to the nearest row of each

GRID = (28, 28)
RECORD = RESULTS / "search.json"
BANKS = {384: (1_000, 2_500, 25_088, 100_000, 200_000), 1_536: (16_000,)}
FITTED = {384: 400, 1_536: 120}  # images
HELD_OUT, TESTED = 8, 16
EF = (16, 64, 256)
SWEPT = ((25_088, 384), (16_000, 1_536))
SWEEP = {  # code dimension, links; then breadth, candidates, rounds
    "code_dimension": (32, 64, 128),
    "links": (8, 16),
    "ef_search": (4, 8, 16, 32),
    "candidates": (4, 8),
    "rounds": (0, 1, 2),
}
SWEEP_IMAGES = 8


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--widths", type=int, nargs="+", default=list(BANKS))
    parser.add_argument("--rows", type=int, nargs="+", help="only these banks")
    options = parser.parse_args()
    runs = _kept(options.widths, options.rows)
    for width in options.widths:
        extractor = Extractor(width)
        data = read_data_set(data_root() / "data/magnetic-tile")
        order = np.random.default_rng(0).permutation(len(data.test))[:TESTED]
        test = [extractor.of(data.test[i].path) for i in order]
        held_out = list(extractor.held_out(data.good[-HELD_OUT:]))
        patches = np.concatenate([extractor.of(path) for path in data.good[: FITTED[width]]])
        sizes = [n for n in BANKS[width] if not options.rows or n in options.rows]
        if not sizes:
            continue
        chosen = greedy_coreset(patches, max(sizes), progress=True)
        for rows in sizes:
            bank = patches[chosen[:rows]]
            runs.append(measure(bank, held_out, test))
            if (rows, width) in SWEPT:
                runs[-1]["sweep"] = sweep(bank, test[:SWEEP_IMAGES])
            runs.sort(key=lambda run: (run["width"], run["rows"]))
            write_record("search", {"grid": GRID, "images": TESTED, "runs": runs})


def _kept(widths: list[int], rows: list[int] | None) -> list[dict[str, Any]]:
    """Runs of the record there is that are not measured again."""
    if not rows or not RECORD.exists():
        return []
    runs: list[dict[str, Any]] = json.loads(RECORD.read_text(encoding="utf-8"))["runs"]
    return [run for run in runs if run["width"] not in widths or run["rows"] not in rows]


class Extractor:
    """Patch features of images, 384 or 1,536 wide."""

    def __init__(self, width: int) -> None:
        sizes = (3,) if width == 384 else (1, 3, 5, 7)
        base = {"weights": imagenet_resnet18(), "resize_px": 256}
        configs = [PatchCoreConfig(**base, patch_size=p) for p in sizes]  # type: ignore[arg-type]
        self.preprocessing = configs[0].preprocessing
        self.networks = [build_network(config) for config in configs]

    def of(self, image: Path | NDArray[np.uint8]) -> FloatArray:
        """``(784, width)`` of a file or of a preprocessed image."""
        pixels = load_preprocessed(image, self.preprocessing) if isinstance(image, Path) else image
        features = [extract(network, pixels[np.newaxis])[0] for network in self.networks]
        return np.concatenate(features, axis=2).reshape(GRID[0] * GRID[1], -1)

    def held_out(self, paths: tuple[Path, ...]) -> Iterator[FloatArray]:
        """Features of good images, each followed by a damaged copy."""
        images = (load_preprocessed(path, self.preprocessing) for path in paths)
        for image in with_damage(images, seed=0):
            yield self.of(image)


def measure(bank: FloatArray, held_out: list[FloatArray], test: list[FloatArray]) -> dict[str, Any]:
    result: dict[str, Any] = {
        "rows": len(bank),
        "width": bank.shape[1],
        "map_tolerance": ExportConfig().map_tolerance,
        "methods": {},
    }
    with tempfile.TemporaryDirectory() as folder:
        finders = methods(bank, held_out, Path(folder), result["methods"])
        found: dict[str, list[NDArray[np.int64]]] = {name: [] for name in finders}
        for patches in test:
            for name, find in finders.items():
                start = time.perf_counter()
                found[name].append(find(patches))
                times = result["methods"][name].setdefault("ms", [])
                times.append((time.perf_counter() - start) * 1e3)
    true = [distances(p, bank, rows) for p, rows in zip(test, found["exact"], strict=True)]
    for name, rows in found.items():
        own = [distances(p, bank, r) for p, r in zip(test, rows, strict=True)]
        errors = [float((d - t).mean() / t.mean()) for d, t in zip(own, true, strict=True)]
        scores = [abs(d.max() / t.max() - 1) for d, t in zip(own, true, strict=True)]
        result["methods"][name] |= {
            "map_error_mean": float(np.mean(errors)),
            "map_error_worst_image": max(errors),
            "score_error_worst_image": float(max(scores)),
        }
        print(len(bank), bank.shape[1], name, _short(result["methods"][name]), flush=True)
    return result


def sweep(bank: FloatArray, test: list[FloatArray]) -> list[dict[str, Any]]:
    """Time, error of the map and bytes per row at every setting."""
    true = [distances(p, bank, nearest(ExactSearch(bank))(p)) for p in test]
    results = []
    for dimension, links in product(SWEEP["code_dimension"], SWEEP["links"]):
        settings = SearchSettings(
            kind="hnsw", rows=len(bank), code_dimension=dimension, links=links,
            ef_construction=200, ef_search=4, candidates=4, rounds=0, reason="",
        )  # fmt: skip
        with tempfile.TemporaryDirectory() as folder:
            projection = build_index(bank, settings, 0, Path(folder))
            size = (Path(folder) / INDEX).stat().st_size + projection.nbytes
            search = read_index(Path(folder) / INDEX, bank, projection, settings)
        for ef, candidates, rounds in product(
            SWEEP["ef_search"], SWEEP["candidates"], SWEEP["rounds"]
        ):
            if candidates > ef:
                continue
            breadth = {"ef_search": ef, "candidates": candidates, "rounds": rounds}
            search.use(replace(settings, **breadth))  # type: ignore[arg-type]
            times, errors, scanned = [], [], []
            for patches, expected in zip(test, true, strict=True):
                start = time.perf_counter()
                found = search.nearest(patches)
                times.append((time.perf_counter() - start) * 1e3)
                own = distances(patches, bank, found.rows[:, 0])
                errors.append(float((own - expected).mean() / expected.mean()))
                scanned.append(found.scanned)
            results.append({
                "code_dimension": dimension, "links": links, **breadth,
                "ms": float(np.median(times)), "map_error_mean": float(np.mean(errors)),
                "scanned_mean": float(np.mean(scanned)), "index_bytes_per_row": size / len(bank),
            })  # fmt: skip
    return results


def distances(
    queries: FloatArray, bank: FloatArray, rows: NDArray[np.int64]
) -> NDArray[np.float64]:
    return np.asarray(np.linalg.norm(queries.astype(np.float64) - bank[rows], axis=1))


def methods(
    bank: FloatArray, held_out: list[FloatArray], folder: Path, about: dict[str, dict[str, Any]]
) -> dict[str, Find]:
    """How each finds nearest rows; what it took to build, in ``about``."""
    rows, width = bank.shape
    flat = 4 * rows * width
    finders: dict[str, Find] = {"numpy": plain(bank), "exact": nearest(ExactSearch(bank))}
    about["numpy"] = about["exact"] = {"bytes": flat}
    about["exact"] = dict(about["numpy"])

    start = time.perf_counter()
    scoring = PatchCoreConfig().scoring
    config = ExportConfig(search="hnsw")
    settings = choose_search(bank, held_out, scoring, GRID, config, folder)
    projection = np.load(folder / PROJECTION)
    ours = read_index(folder / INDEX, bank, projection, settings)
    index_bytes = (folder / INDEX).stat().st_size + projection.nbytes
    about["edge_ad"] = {
        "choose_s": time.perf_counter() - start,
        "settings": asdict(settings),
        "bytes": flat + index_bytes,
        "index_bytes": index_bytes,
        "scanned": [ours.nearest(patches).scanned for patches in held_out],
    }
    finders["edge_ad"] = nearest(ours)
    for name, library in LIBRARIES.items():
        if find_spec(library) is not None:
            start = time.perf_counter()
            for label, finder, size in BUILDERS[name](bank):
                about[label] = {"bytes": size, "build_s": time.perf_counter() - start}
                finders[label] = finder
    for find in finders.values():
        find(held_out[0])  # page in
    return finders


def plain(bank: FloatArray) -> Find:
    """All distances in one matrix, as one would write it."""
    sq_norms = (bank * bank).sum(axis=1)

    def find(queries: FloatArray) -> NDArray[np.int64]:
        sq_distances = (queries * queries).sum(axis=1)[:, np.newaxis] + sq_norms
        sq_distances -= 2 * (queries @ bank.T)
        return np.asarray(sq_distances.argmin(axis=1))

    return find


def read_index(
    path: Path, bank: NDArray[np.float32], projection: NDArray[np.float32], settings: SearchSettings
) -> HnswSearch:
    content = np.fromfile(path, np.uint8)
    return HnswSearch(content, bank, projection, settings, path=path, grid=GRID)


def nearest(search: ExactSearch | HnswSearch) -> Find:
    return lambda queries: search.nearest(queries).rows[:, 0]


Built = Iterator[tuple[str, Find, int]]  # label, finder, bytes


def faiss_flat(bank: FloatArray) -> Built:
    import faiss

    index: Any = faiss.IndexFlatL2(bank.shape[1])
    index.add(bank)
    yield "faiss flat", lambda queries: index.search(queries, 1)[1][:, 0], bank.nbytes


def hnswlib_as_it_comes(bank: FloatArray) -> Built:
    index = hnswlib.Index(space="l2", dim=bank.shape[1])
    index.init_index(max_elements=len(bank), M=16, ef_construction=200, random_seed=0)
    index.add_items(bank, num_threads=2)
    size = index.index_file_size()
    for ef in EF:

        def find(queries: FloatArray, ef: int = ef) -> NDArray[np.int64]:
            index.set_ef(ef)
            return np.asarray(index.knn_query(queries, k=1)[0][:, 0], np.int64)

        yield f"hnswlib ef {ef}", find, size


def usearch_as_it_comes(bank: FloatArray) -> Built:
    from usearch.index import Index

    for dtype in ("f32", "f16"):
        index: Any = Index(ndim=bank.shape[1], metric="l2sq", dtype=dtype, connectivity=16)
        index.add(np.arange(len(bank)), bank, threads=2)
        for ef in EF:

            def find(queries: FloatArray, index: Any = index, ef: int = ef) -> NDArray[np.int64]:
                index.expansion_search = ef
                return np.asarray(index.search(queries, 1, threads=2).keys, np.int64).ravel()

            yield f"usearch {dtype} ef {ef}", find, index.serialized_length


def voyager_as_it_comes(bank: FloatArray) -> Built:
    import voyager

    index = voyager.Index(voyager.Space.Euclidean, num_dimensions=bank.shape[1], M=16)
    index.add_items(bank, num_threads=2)
    for ef in EF:

        def find(queries: FloatArray, ef: int = ef) -> NDArray[np.int64]:
            found, _ = index.query(queries, k=1, num_threads=2, query_ef=ef)
            return np.asarray(found[:, 0], np.int64)

        yield f"voyager ef {ef}", find, len(index.as_bytes())


LIBRARIES = {"faiss": "faiss", "hnswlib": "hnswlib", "usearch": "usearch", "voyager": "voyager"}
BUILDERS: dict[str, Callable[[FloatArray], Built]] = {
    "faiss": faiss_flat,
    "hnswlib": hnswlib_as_it_comes,
    "usearch": usearch_as_it_comes,
    "voyager": voyager_as_it_comes,
}


def _short(about: dict[str, Any]) -> str:
    p50, p95 = np.percentile(about["ms"], [50, 95])
    return (
        f"p50 {p50:.1f} p95 {p95:.1f} ms, map error {about['map_error_mean']:.1e}, "
        f"score error {about['score_error_worst_image']:.1e}, {about['bytes'] / 1e6:.0f} MB"
    )


if __name__ == "__main__":
    main()
