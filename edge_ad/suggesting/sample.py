"""The images that settings are tried on: good ones to learn from, and others to judge."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edge_ad.images.labelled import TestImage
from edge_ad.suggesting.damaged import damaged_copies
from edge_ad_runtime.errors import FitError
from edge_ad_runtime.images import RGBImage, read_image

GOOD, DAMAGED = "good", "damaged"
LABELLED_GOOD, LABELLED_DEFECTIVE = "labelled good", "labelled defective"

_HELD_OUT = 0.25
_MOST_HELD_OUT = 12
_LEAST = 8
_MOST_LABELLED = 40  # of each label


@dataclass(frozen=True, kw_only=True, eq=False)
class Sample:
    """Images in memory, as the camera gave them.

    Attributes:
        learned: good images that banks are made of.
        judged: images by the name of their group: held-out good ones, damaged copies of those, and
            labelled ones.
        images_of_fit: how many images a fit of the whole folder would learn from.
        seed: what was drawn by.
    """

    learned: tuple[RGBImage, ...]
    judged: dict[str, tuple[RGBImage, ...]]
    images_of_fit: int
    seed: int

    @property
    def runs(self) -> int:
        """How many images one network sees."""
        return len(self.learned) + sum(map(len, self.judged.values()))


def draw_sample(
    good: Sequence[Path], labelled: Sequence[TestImage], *, images: int, seed: int
) -> Sample:
    """Draw the images.

    Args:
        good: the files of good images.
        labelled: images with labels, or none. They are only judged.
        images: how many good ones are used at most.
        seed: what is drawn by.

    Raises:
        FitError: there are too few good images.
        ImageError: an image cannot be read.
    """
    if len(good) < _LEAST:
        raise FitError(
            f"{len(good)} good images; settings can be compared from {_LEAST} on, and 50 or more "
            "are wise"
        )
    rng = np.random.default_rng(seed)
    chosen = [good[i] for i in rng.permutation(len(good))[:images]]
    held_out = min(_MOST_HELD_OUT, max(2, round(_HELD_OUT * len(chosen))))
    others = tuple(read_image(path) for path in chosen[:held_out])
    judged = {
        GOOD: others,
        DAMAGED: tuple(
            copy for i, image in enumerate(others) for copy in damaged_copies(image, seed + i)
        ),
    }
    if labelled:
        judged[LABELLED_GOOD] = _some(labelled, rng, defective=False)
        judged[LABELLED_DEFECTIVE] = _some(labelled, rng, defective=True)
    return Sample(
        learned=tuple(read_image(path) for path in chosen[held_out:]),
        judged=judged,
        images_of_fit=max(1, round(0.8 * len(good))),
        seed=seed,
    )


def _some(
    labelled: Sequence[TestImage], rng: np.random.Generator, *, defective: bool
) -> tuple[RGBImage, ...]:
    of_label = [image.path for image in labelled if image.is_defective == defective]
    order = rng.permutation(len(of_label))[:_MOST_LABELLED]
    return tuple(read_image(of_label[i]) for i in order)
