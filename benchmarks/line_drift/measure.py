"""False alarms and delays of the line's drift evidence: python -m benchmarks.line_drift.measure.

On drawn scores (gamma, shape 9, which lean to the right as distances do) and on real ones: a
detector of magnetic tiles is fitted, and good tiles that it has not seen are scored as they are,
darkened and blurred. Of the real scores streams are drawn with replacement, as there are not
20,000 tiles. Each stream begins with 40 calibration scores.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from benchmarks.harness.datasets import read_data_set
from benchmarks.harness.record import (
    add_draft_option,
    check_tree,
    data_root,
    imagenet_resnet18,
    write_record,
)
from edge_ad import PatchCoreConfig, fit
from edge_ad_export import ExportConfig, export
from edge_ad_line.drift import ALARM_LOG10, Drift
from edge_ad_runtime import Detector
from edge_ad_runtime.images import RGBImage, read_image

Scores = NDArray[np.float64]
Draw = Callable[[np.random.Generator, int], Scores]

CALIBRATION = 40  # scores
GOOD_SEEDS, GOOD_PARTS = 60, 20_000
SEEDS = 40
LONGEST_DELAY = 2_000  # parts

PHYSICAL: dict[str, Callable[[RGBImage], RGBImage]] = {
    "as they are": lambda image: image,
    "10% darker": lambda image: np.asarray(image * 0.9, np.uint8),
    "20% darker": lambda image: np.asarray(image * 0.8, np.uint8),
    "blurred, sigma 1 px": lambda image: np.asarray(cv2.GaussianBlur(image, (0, 0), 1), np.uint8),
    "blurred, sigma 2 px": lambda image: np.asarray(cv2.GaussianBlur(image, (0, 0), 2), np.uint8),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    add_draft_option(parser)
    options = parser.parse_args()
    commit = check_tree(draft=options.draft)
    content = {
        "alarm_log10": ALARM_LOG10,
        "calibration_scores": CALIBRATION,
        "drawn": measured(gamma, sd=1 / 3),
        "magnetic_tile": on_tiles(),
    }
    write_record("line_drift", commit, content)


def gamma(rng: np.random.Generator, count: int) -> Scores:
    """Scores of mean 1 and standard deviation 1/3."""
    return rng.gamma(9, 1 / 9, count)


def measured(draw: Draw, *, sd: float, defects: Draw | None = None) -> dict[str, Any]:
    """Peaks of the evidence on good parts and with 2% defects, and delays after a shift."""
    shifts = [(0.5, 300), (0.5, 1000), (0.5, 2000), (0.5, 10_000), (-0.5, 2000), (1.0, 100)]
    defective = defects or (lambda rng, count: draw(rng, count) + 10 * sd)
    return {
        "good": [peak(seed, draw(rng(seed), GOOD_PARTS), draw) for seed in bar(GOOD_SEEDS)],
        "defects_2_percent": [
            peak(seed, with_defects(rng(seed), draw, defective), draw) for seed in bar(SEEDS)
        ],
        "shifts": [
            {
                "sd": shift,
                "good_parts_before": before,
                "delays": [
                    delay(seed, draw, before, lambda r, n: draw(r, n) + shift * sd)  # noqa: B023
                    for seed in bar(SEEDS)
                ],
            }
            for shift, before in shifts
        ],
    }


def on_tiles() -> dict[str, Any]:
    """The same on scores of magnetic tiles, and delays after physical changes."""
    data = read_data_set(data_root() / "data/magnetic-tile")
    good = [image.path for image in data.test if not image.is_defective]
    bad = [image.path for image in data.test if image.is_defective]
    with tempfile.TemporaryDirectory() as folder:
        fitted = fit(data.good, PatchCoreConfig(weights=imagenet_resnet18(), coreset_fraction=0.01))
        export(fitted, Path(folder) / "tile.edgead", ExportConfig())
        with Detector.load(Path(folder) / "tile.edgead") as detector:
            calibration = np.array(detector.manifest.calibration.scores)
            scores = {
                name: scored(detector, good, change, name) for name, change in PHYSICAL.items()
            }
            defects = scored(detector, bad, PHYSICAL["as they are"], "defects")
    usual = np.concatenate([calibration, scores["as they are"]])
    draw = from_pool(usual)
    return {
        "good_tiles": len(usual),
        "once_through": [
            once_through(seed, calibration, scores["as they are"]) for seed in bar(40)
        ],
        **measured(draw, sd=float(usual.std()), defects=from_pool(defects)),
        "physical": {
            name: [delay(seed, draw, 2000, from_pool(changed)) for seed in bar(SEEDS)]
            for name, changed in scores.items()
            if name != "as they are"
        },
        "scores": {"calibration": calibration.tolist()}
        | {name: found.tolist() for name, found in scores.items()},
    }


def scored(
    detector: Detector, paths: list[Path], change: Callable[[RGBImage], RGBImage], name: str
) -> Scores:
    """The scores of images that are changed after they are read."""
    images = (change(read_image(path)) for path in tqdm(paths, desc=name))
    return np.array([detector.predict(image, with_map=False).score for image in images])


def from_pool(pool: Scores) -> Draw:
    """Draws scores with replacement."""
    return lambda rng, count: rng.choice(pool, count)


def rng(seed: int) -> np.random.Generator:
    return np.random.default_rng([20, seed])


def started(seed: int, draw: Draw) -> Drift:
    return Drift.from_calibration(draw(np.random.default_rng([21, seed]), CALIBRATION), seed=seed)


def peak(seed: int, stream: Scores, draw: Draw) -> float:
    """The largest log10 evidence in a stream of scores."""
    drift = started(seed, draw)
    return round(max(drift.update(score) for score in stream), 3)


def once_through(seed: int, calibration: Scores, test: Scores) -> float:
    """The largest log10 evidence on the test tiles in an order, after the artifact's scores."""
    drift = Drift.from_calibration(calibration, seed=seed)
    return round(max(drift.update(score) for score in rng(seed).permutation(test)), 3)


def with_defects(rng: np.random.Generator, draw: Draw, defective: Draw) -> Scores:
    stream = draw(rng, GOOD_PARTS)
    is_defect = rng.random(GOOD_PARTS) < 0.02
    stream[is_defect] = defective(rng, int(is_defect.sum()))
    return stream


def delay(seed: int, draw: Draw, before: int, changed: Draw) -> int | None:
    """How many changed parts it takes to an alarm. None: not within `LONGEST_DELAY`."""
    stream, drift = rng(seed), started(seed, draw)
    for score in draw(stream, before):
        drift.update(score)
    for number, score in enumerate(changed(stream, LONGEST_DELAY), start=1):
        if drift.update(score) >= ALARM_LOG10:
            return number
    return None


def bar(count: int) -> Iterable[int]:
    yield from tqdm(range(count), leave=False)


if __name__ == "__main__":
    main()
