"""The a-contrario test by simulation: python -m benchmarks.a_contrario.measure.

The levels are drawn as those of independent standard normal latents, of the shapes that U-Flow's
networks have. On noise alone, the false alarms of each image are counted at several thresholds. For
the power a square of one scale has latents of a larger standard deviation, and it is found if some
pixel of it is above the threshold of one false alarm. Both ways to count regions see the same
levels.
"""

from __future__ import annotations

import argparse
import math
from dataclasses import asdict, dataclass
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from benchmarks.harness.record import add_draft_option, check_tree, write_record
from edge_ad_runtime.decision.a_contrario.counting import Counting
from edge_ad_runtime.decision.a_contrario.nfa import significance_by_tree
from edge_ad_runtime.decision.regions import find_regions
from edge_ad_runtime.images.preprocess import Preprocessing

COUNTINGS: tuple[Counting, ...] = get_args(Counting)
STATED = (1000.0, 100.0, 10.0, 1.0, 0.1, 0.01)
SIDES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32)
STDS = (1.1, 1.25, 1.5, 2.0)

_IMAGES = 1000
_TRIALS = 50

Levels = list[NDArray[np.float64]]


@dataclass(frozen=True, kw_only=True)
class Shapes:
    """The latents of one network.

    Attributes:
        name: the network.
        size: ``(height, width)`` of the image.
        channels: of each scale, finest first.
        grids: of each scale ``(rows, cols)``.
    """

    name: str
    size: tuple[int, int]
    channels: tuple[int, ...]
    grids: tuple[tuple[int, int], ...]

    def noise(self, rng: np.random.Generator) -> Levels:
        """The levels of an image of noise: means of C squared standard normal numbers."""
        pairs = zip(self.channels, self.grids, strict=True)
        return [rng.chisquare(c, grid) / c for c, grid in pairs]

    def planted(self, rng: np.random.Generator, scale: int, side: int, std: float) -> Levels:
        """The same with a square of latents of another standard deviation in the middle."""
        levels = self.noise(rng)
        levels[scale][self.square(scale, side)] *= std**2
        return levels

    def square(self, scale: int, side: int) -> tuple[slice, slice]:
        """The positions of a square of so many a side in the middle of a scale's grid."""
        rows, cols = self.grids[scale]
        top, left = (rows - side) // 2, (cols - side) // 2
        return slice(top, top + side), slice(left, left + side)


NETWORKS = (
    Shapes(
        name="ResNet18, 256 px",
        size=(256, 256),
        channels=(84, 80, 128),
        grids=((64, 64), (32, 32), (16, 16)),
    ),
    Shapes(
        name="CaiT pair, 448 px",
        size=(448, 448),
        channels=(816, 192),
        grids=((28, 28), (14, 14)),
    ),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add_draft_option(parser)
    commit = check_tree(draft=parser.parse_args().draft)
    content = {
        "images": _IMAGES,
        "trials": _TRIALS,
        "seed": 0,
        "networks": [
            {**asdict(shapes), "noise": on_noise(shapes), "power": power(shapes)}
            for shapes in NETWORKS
        ],
    }
    write_record("a_contrario", commit, content)


def on_noise(shapes: Shapes) -> dict[str, Any]:
    """For each counting the mean number of false alarms of an image, by what is stated."""
    rng = np.random.default_rng(0)
    totals = {counting: np.zeros(len(STATED)) for counting in COUNTINGS}
    largest = {counting: -math.inf for counting in COUNTINGS}
    for _ in range(_IMAGES):
        levels = shapes.noise(rng)
        for counting in COUNTINGS:
            found = _significance(shapes, levels, counting)
            largest[counting] = max(largest[counting], float(found.max()))
            totals[counting] += [false_alarms(found, stated) for stated in STATED]
    print(shapes.name, totals, largest, flush=True)
    return {
        counting: {
            "false_alarms_per_image": dict(
                zip(map(str, STATED), (total / _IMAGES).tolist(), strict=True)
            ),
            "largest_score": largest[counting],
        }
        for counting, total in totals.items()
    }


def false_alarms(significance: NDArray[np.float32], stated: float) -> int:
    """How many regions are above the threshold of a stated number of false alarms."""
    size = (significance.shape[0], significance.shape[1])
    placement = Preprocessing(size=size).placement(size)
    return len(find_regions(significance, -math.log10(stated), placement))


def power(shapes: Shapes) -> list[dict[str, Any]]:
    """The share of planted squares that are found, by scale, standard deviation and side."""
    rng = np.random.default_rng(1)
    found = []
    for scale, (rows, _) in enumerate(shapes.grids):
        for std in STDS:
            for side in (side for side in SIDES if side <= rows // 2):
                hits = np.zeros(len(COUNTINGS))
                for _ in range(_TRIALS):
                    levels = shapes.planted(rng, scale, side, std)
                    hits += [is_found(shapes, levels, each, scale, side) for each in COUNTINGS]
                share = dict(zip(COUNTINGS, (hits / _TRIALS).tolist(), strict=True))
                found.append({"scale": scale, "std": std, "side": side, **share})
                print(shapes.name, found[-1], flush=True)
    return found


def is_found(shapes: Shapes, levels: Levels, counting: Counting, scale: int, side: int) -> bool:
    """Whether some pixel of the planted square is above 0, where one false alarm is expected."""
    significance = _significance(shapes, levels, counting)
    enlarged = shapes.size[0] // shapes.grids[scale][0]
    rows, cols = (
        slice(each.start * enlarged, each.stop * enlarged) for each in shapes.square(scale, side)
    )
    return bool(significance[rows, cols].max() > 0)


def _significance(shapes: Shapes, levels: Levels, counting: Counting) -> NDArray[np.float32]:
    return significance_by_tree(levels, shapes.channels, shapes.size, counting)


if __name__ == "__main__":
    main()
