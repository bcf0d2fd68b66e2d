"""PaDiM beside anomalib's, and SPADE beside plain products: python -m benchmarks.methods.beside.

PaDiM: the same magnetic tiles, weights and number of channels, a process for each, asked for the
same image in turn; see `benchmarks.peers.measure`. anomalib's is its torch model.

SPADE: the public implementations compare all positions in float64 or torch, one layer after the
other. The plain way here is that, as a matrix product of numpy's in float64 on all cores. Both get
the same features and the same images of the gallery, in turn.
"""

from __future__ import annotations

import argparse
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.harness.clock import in_turn_ms, seconds
from benchmarks.harness.datasets import DataSet, draw, read_data_set
from benchmarks.harness.record import (
    add_draft_option,
    check_tree,
    data_root,
    imagenet_resnet18,
    write_record,
)
from benchmarks.peers.environments import Environment, add_options, environments
from benchmarks.peers.in_turn import PAUSE_S, judge, measure
from benchmarks.peers.measure import prepare
from benchmarks.peers.ways import LITE, RESNET, anomalib_way, imagenet_files, our_way
from edge_ad import fit
from edge_ad.images.good import load_preprocessed
from edge_ad.methods.judge import Judge
from edge_ad.methods.padim.settings import PadimConfig
from edge_ad.methods.spade.settings import SpadeConfig
from edge_ad.networks.run import TorchRun
from edge_ad_export import ExportConfig, export

_NEIGHBOURS = (5, 50)
_SPADE_IMAGES = 10


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_options(parser)
    add_draft_option(parser)
    options = parser.parse_args()
    commit = check_tree(draft=options.draft)
    data = read_data_set(data_root() / "data/magnetic-tile")
    with tempfile.TemporaryDirectory() as name:
        names = ("onnxruntime", "anomalib")
        made = environments(names, options, Path(name) / "environments")
        content = {
            "spade": [spade(data, options.images, count) for count in _NEIGHBOURS],
            "padim": padim(data, options, made, Path(name)),
        }
    write_record("methods_beside", commit, content)


def padim(
    data: DataSet, options: argparse.Namespace, made: dict[str, Environment], folder: Path
) -> dict[str, Any]:
    """Milliseconds from the preprocessed image to score and map, ours and anomalib's."""
    good, ways, fits = data.good[: options.images], [], {}
    for name, file in imagenet_files().items():
        own = folder / name
        own.mkdir()
        config = PadimConfig(backbone=name, weights="imagenet" if name == LITE else file)
        fit_s, fitted = seconds(partial(fit, good, config))
        np.save(own / "good.npy", [load_preprocessed(path, config.preprocessing) for path in good])
        export(fitted, own / "ours.edgead", ExportConfig())
        theirs = prepare(made["anomalib"], own, "anomalib", "padim", str(own), file, name)
        fits[name] = {"edge_ad_s": fit_s, "anomalib": theirs}
        ways += [
            our_way(name, own / "ours.edgead"),
            anomalib_way(name, "torch", own / "weights/torch/model.pt", theirs),
        ]
    test = draw(data.test, options.test_images)
    images = [load_preprocessed(image.path, config.preprocessing) for image in test]
    np.save(folder / "test.npy", images)
    measured = measure(ways, made, folder, len(test))
    is_defective = np.array([image.is_defective for image in test])
    judge(measured, [1.0] * len(test), is_defective)  # channels are drawn by each library's lot
    for row in measured:
        print(row["name"], row.get("refused") or np.median(row["ms"]), flush=True)
    return {"images": len(good), "fits": fits, "ways": measured}


def spade(data: DataSet, images: int, neighbours: int) -> dict[str, Any]:
    """Milliseconds from a network's outputs to score and map, ours and plain."""
    config = SpadeConfig(
        weights=imagenet_resnet18(), backbone=RESNET, gallery_neighbours=neighbours
    )
    fitted = fit(data.good[:images], config)
    network = fitted.network()
    run, lowered = TorchRun(network), fitted.lower(network)
    judge_ours = Judge(run, lowered, config.size)
    pixels = [
        load_preprocessed(image.path, config.preprocessing)
        for image in draw(data.test, _SPADE_IMAGES)
    ]
    outputs = [{n: v[0] for n, v in run(image[np.newaxis]).items()} for image in pixels]
    arrays = {name: np.asarray(values) for name, values in lowered.arrays.items()}
    maps: dict[str, list[NDArray[np.float32]]] = {"ours": [], "plain": []}

    def ours(found: dict[str, NDArray[Any]]) -> None:
        heat = judge_ours.head.judge(found, with_map=True).map
        assert heat is not None, "asked for"
        maps["ours"].append(heat)

    def plain(found: dict[str, NDArray[Any]]) -> None:
        maps["plain"].append(plain_map(found, arrays, neighbours, config.size))

    ms = in_turn_ms({"ours": ours, "plain": plain}, outputs, pause_s=PAUSE_S)
    judge_ours.head.close()
    pairs = zip(maps["ours"], maps["plain"], strict=True)
    print("spade", neighbours, {name: np.median(times) for name, times in ms.items()}, flush=True)
    return {
        "gallery_images": images,
        "neighbours": neighbours,
        "store_bytes": sum(values.nbytes for values in arrays.values()),
        "ms": ms,
        "largest_map_difference": max(
            float(np.abs(a - b).max() / np.abs(b).max()) for a, b in pairs
        ),
    }


def plain_map(
    outputs: dict[str, NDArray[Any]],
    arrays: dict[str, NDArray[Any]],
    neighbours: int,
    size: tuple[int, int],
) -> NDArray[np.float32]:
    """SPADE's map with one float64 product a layer (Cohen & Hoshen 2020, section 3.3)."""
    height, width = size
    pooled = outputs["pooled"].astype(np.float64)
    gallery = arrays["gallery.npy"].astype(np.float64)
    nearest = np.argsort(((gallery - pooled) ** 2).sum(axis=1), kind="stable")[:neighbours]
    total = np.zeros(size, np.float32)
    layers = sorted(name for name in outputs if name.startswith("layer"))
    for layer in layers:
        rows, cols, channels = outputs[layer].shape
        queries = outputs[layer].reshape(-1, channels).astype(np.float64)
        distances = np.full(len(queries), np.inf)
        for image in nearest:
            there = arrays[f"{layer}.npy"][image].reshape(-1, channels).astype(np.float64)
            squares = (queries**2).sum(axis=1)[:, None] + (there**2).sum(axis=1)
            squares -= 2 * queries @ there.T
            distances = np.minimum(distances, squares.min(axis=1))
        heat = np.sqrt(np.maximum(distances, 0)).astype(np.float32).reshape(rows, cols)
        total += cv2.resize(heat, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(
        cv2.GaussianBlur(total / len(layers), (33, 33), 4, borderType=cv2.BORDER_REFLECT),
        np.float32,
    )


if __name__ == "__main__":
    main()
