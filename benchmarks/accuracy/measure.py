"""Detectors as they come, on the same images and weights: python -m benchmarks.accuracy.measure.

Everyone gets the same good images, test images and ImageNet ResNet18, layers 2 and 3, and keeps 10%
of the patches by the greedy rule. The rest is as it comes:

- ``edge_ad``: what `fit`, `export` and `evaluate` do without options.
- ``edge_ad, 256 px``: the same at anomalib's input size. What it finds more than ``edge_ad`` is the
  size's merit, and what anomalib finds more than it is not.
- ``inspection``: patchcore-inspection's convention, in edge_ad. Images are made 256 px and cut to
  224, patches have 1,024 numbers, distances are squared, and equation 7 is left out.
- ``anomalib``: anomalib's PatchCore with its own preprocessing and maps, in an environment of its
  own. Its coreset would take an hour and more. The patches that it chooses from are therefore
  handed to the greedy rule of edge_ad, and those that are chosen are its memory bank.

Neither of the latter says how to set a threshold without defects. Theirs is what edge_ad's
``--calibration split`` does: a detector of 80% of the good images, whose scores of the other 20%
set it. AUROC and PRO are of the detector that has learned from all.

Pixels are those of the images for everyone, as Bergmann et al. 2020 have them. Each detector's maps
are laid back on them, with 0 where it has not looked. At each detector's own input a mask would
not be the same mask: scaled to 224 px, one of the hazelnuts' falls into two regions, of which PRO
counts each, and with it a detector's PRO is 0.09 below what it is at 256 px.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.accuracy.sets import SETS, read_set
from benchmarks.harness.datasets import DataSet
from benchmarks.harness.record import (
    add_draft_option,
    add_only_option,
    check_tree,
    imagenet_resnet18,
    measure_missing,
)
from benchmarks.peers.environments import ENVIRONMENTS, Environment, make_environment
from edge_ad import PatchCoreConfig, fit
from edge_ad.evaluation.evaluate import evaluate
from edge_ad.evaluation.metrics import PixelMetrics, auroc, pixel_metrics
from edge_ad.features.coreset import greedy_coreset
from edge_ad.images.labelled import TestImage, read_mask
from edge_ad_export import ExportConfig, export
from edge_ad_runtime import Detector, Prediction
from edge_ad_runtime.artifact.calibration_scores import CalibrationScores, smallest_rate
from edge_ad_runtime.images import RGBImage, read_image
from edge_ad_runtime.images.preprocess import Preprocessing

WAYS = ("edge_ad", "edge_ad, 256 px", "inspection", "anomalib")
RATES = (0.01, 0.05)
_FRACTION, _HELD_OUT = 0.1, 0.2


class Scored(NamedTuple):
    """What a detector says.

    Attributes:
        test: the scores of the test images.
        pixels: how well the maps of the test images find what is masked.
        left_out: the scores of good images that were not learned from. They set the threshold.
        beside: the scores of the test images by the detector that gave ``left_out``.
    """

    test: NDArray[np.floating]
    pixels: PixelMetrics
    left_out: NDArray[np.floating]
    beside: NDArray[np.floating]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--python", type=Path, help="of an environment that has anomalib")
    add_only_option(parser)
    add_draft_option(parser)
    options = parser.parse_args()
    commit = check_tree(draft=options.draft)
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        anomalib = (
            Environment(python=options.python.absolute())
            if options.python
            else make_environment(scratch / "anomalib", ENVIRONMENTS["anomalib"])
        )
        tasks = [
            (f"{name} | {way}", partial(measure, name, way, scratch / f"{i}", anomalib))
            for i, (name, way) in enumerate(product(SETS, WAYS))
        ]
        measure_missing("accuracy", commit, tasks, options.only)


def measure(name: str, way: str, scratch: Path, anomalib: Environment) -> dict[str, Any]:
    """One way on one set."""
    scratch.mkdir()
    data = read_set(name, scratch)
    weights = imagenet_resnet18()
    as_inspected = PatchCoreConfig(weights=weights, convention="inspection", resize_px=256)
    measured: dict[str, Callable[[], Scored]] = {
        "edge_ad": lambda: _ours(data, PatchCoreConfig(weights=weights)),
        "edge_ad, 256 px": lambda: _ours(data, PatchCoreConfig(weights=weights, size=(256, 256))),
        "inspection": lambda: _split(data, as_inspected),
        "anomalib": lambda: _anomalib(data, anomalib, scratch),
    }
    is_defective = np.array([image.is_defective for image in data.test])
    return {
        "good": len(data.good),
        "test_good": int((~is_defective).sum()),
        "test_defective": int(is_defective.sum()),
        **_figures(measured[way](), is_defective),
    }


def _figures(scored: Scored, is_defective: NDArray[np.bool_]) -> dict[str, Any]:
    known = CalibrationScores.of(scored.left_out)
    at = {}
    for asked in RATES:
        rank = known.rank_at_rate(max(asked, smallest_rate(known.images)))
        is_over = scored.beside > known.score_at(rank)
        at[f"{asked:g}"] = {
            "stated": known.rate_of(rank),
            "found": int(is_over[is_defective].sum()),
            "rejected": int(is_over[~is_defective].sum()),
        }
    return {
        "image_auroc": auroc(scored.test, is_defective),
        "pixel_auroc": scored.pixels.auroc,
        "pro": scored.pixels.pro,
        "left_out": known.images,
        "at": at,
    }


def _ours(data: DataSet, config: PatchCoreConfig) -> Scored:
    """The exported detector, evaluated as a user would."""
    maps: list[NDArray[np.floating]] = []
    with _exported(data.good, config) as detector:
        laid_back = detector.manifest.preprocessing.back_on

        def keep(_: TestImage, image: RGBImage, prediction: Prediction) -> None:
            assert prediction.map is not None
            maps.append(laid_back(prediction.map, image.shape[:2])[0])

        found = evaluate(detector, data.test, seen=keep)
        known = detector.manifest.calibration.scores
    assert not found.errors
    assert known is not None, "good images have set the threshold"
    scores = np.array([image.score for image in found.scores])
    return Scored(
        test=scores,
        pixels=_pixels(maps, data.test),
        left_out=np.array(known),
        beside=scores,
    )


def _split(data: DataSet, config: PatchCoreConfig) -> Scored:
    """The same, but for the threshold: a second detector sets it, of 80% of the good images."""
    learned, held_out = _cut(data.good)
    of_all = _ours(data, config)
    with _exported(learned, config) as detector:
        left_out = np.array([detector.predict(path).score for path in held_out])
        beside = np.array([detector.predict(image.path).score for image in data.test])
    return of_all._replace(left_out=left_out, beside=beside)


@contextmanager
def _exported(good: Sequence[Path], config: PatchCoreConfig) -> Iterator[Detector]:
    with tempfile.TemporaryDirectory() as folder:
        report = export(fit(good, config), Path(folder) / "part.edgead", ExportConfig())
        yield Detector.load(report.path)


def _anomalib(data: DataSet, environment: Environment, scratch: Path) -> Scored:
    """Its two detectors, one of all good images and one of 80% of them."""
    learned, held_out = _cut(data.good)
    tested = [image.path for image in data.test]
    test, maps = _asked(environment, scratch / "all", data.good, tested)
    others, _ = _asked(environment, scratch / "split", learned, [*held_out, *tested])
    laid_back = Preprocessing(size=maps.shape[1:], resize_px=None).back_on
    of_image = [
        laid_back(heat, read_image(image.path).shape[:2])[0]
        for heat, image in zip(maps, data.test, strict=True)
    ]
    return Scored(
        test=test,
        pixels=_pixels(of_image, data.test),
        left_out=others[: len(held_out)],
        beside=others[len(held_out) :],
    )


def _pixels(maps: Sequence[NDArray[np.floating]], test: Sequence[TestImage]) -> PixelMetrics:
    """The figures of maps that are of the images' own sizes."""
    masks = [
        read_mask(image, heat.shape) if image.is_defective else np.zeros(heat.shape, bool)
        for heat, image in zip(maps, test, strict=True)
    ]
    return pixel_metrics(maps, masks)


def _asked(
    environment: Environment, folder: Path, good: Sequence[Path], test: Sequence[Path]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Scores ``(N,)`` of its detector and maps ``(N, H, W)``, the patches chosen by edge_ad."""
    folder.mkdir()
    for name, paths in (("good", good), ("test", test)):
        (folder / f"{name}.json").write_text(json.dumps([str(path) for path in paths]))
    common = (str(folder), imagenet_resnet18())
    environment.start(folder, "anomalib_whole", "embed", *common).result()
    patches = np.load(folder / "patches.npy")
    np.save(folder / "bank.npy", patches[greedy_coreset(patches, round(_FRACTION * len(patches)))])
    environment.start(folder, "anomalib_whole", "score", *common).result()
    return np.load(folder / "scores.npy"), np.load(folder / "maps.npy")


def _cut(good: Sequence[Path]) -> tuple[list[Path], list[Path]]:
    """Those to learn from, and those that set the threshold, drawn by lot."""
    order = np.random.default_rng(0).permutation(len(good))
    held_out = round(_HELD_OUT * len(good))
    return [good[i] for i in order[held_out:]], [good[i] for i in order[:held_out]]


if __name__ == "__main__":
    main()
