"""The public data sets below a folder, each split into good images to fit and images to test."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edge_ad.images.good import list_images
from edge_ad.images.labelled import TestImage, list_test_images

_DEPTH = 3
_FRAME_STEP = 5  # mSTC is every fifth frame of ShanghaiTech Campus (the paper, section 4.1)


@dataclass(frozen=True)
class DataSet:
    """One category.

    Attributes:
        name: of its folder.
        layout: see `edge_ad.images.labelled`.
        good: images to fit.
        test: labelled images, none of them in ``good``.
    """

    name: str
    layout: str
    good: tuple[Path, ...]
    test: tuple[TestImage, ...]


def find_data_sets(root: Path, *, seed: int = 0) -> list[DataSet]:
    """Every data set at most three folders below ``root``."""
    return [read_data_set(folder, seed=seed) for folder in _folders(root, _DEPTH)]


def read_data_set(folder: Path, *, seed: int = 0) -> DataSet:
    """One data set; where it has no training images, 80% of its good ones, drawn by ``seed``.

    That is the paper's protocol for magnetic tile (section 4.4.3).
    """
    layout = _layout(folder)
    assert layout is not None, "callers give data sets"
    test = list_test_images(folder, layout)
    train = next(
        (folder / "train" / n for n in ("good", "ok") if (folder / "train" / n).is_dir()), None
    )
    if layout == "frames":
        test = test[::_FRAME_STEP]
        good = sorted((folder / "training/frames").glob("*/*.jpg"))[::_FRAME_STEP]
    elif train is not None:
        good = list_images(train)
    else:
        every = [image.path for image in test if not image.is_defective]
        order = np.random.default_rng(seed).permutation(len(every))
        good = [every[i] for i in sorted(order[round(0.2 * len(every)) :])]
        fitted = set(good)
        test = [image for image in test if image.path not in fitted]
    return DataSet(folder.name, layout, tuple(good), tuple(test))


def draw(test: Sequence[TestImage], count: int) -> list[TestImage]:
    """Half good, half defective images, a seeded draw."""
    rng = np.random.default_rng(0)
    kinds = [[image for image in test if image.is_defective is wanted] for wanted in (False, True)]
    return [kind[i] for kind in kinds for i in rng.permutation(len(kind))[: count // 2]]


def _folders(folder: Path, depth: int) -> Iterator[Path]:
    if _layout(folder) is not None:
        yield folder
    elif depth > 0:
        for child in sorted(p for p in folder.iterdir() if p.is_dir()):
            yield from _folders(child, depth - 1)


def _layout(folder: Path) -> str | None:
    markers = {
        "magnetic-tile": "MT_Free",
        "visa": "Data/Images/Normal",
        "frames": "testing/frames",
        "mvtec": "train/good",
        "btad": "train/ok",
    }
    return next((name for name, marker in markers.items() if (folder / marker).is_dir()), None)
