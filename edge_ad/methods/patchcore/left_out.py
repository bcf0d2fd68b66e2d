"""Good images judged by the bank without their own rows: every image counts twice.

An image's score is ruled by its farthest patch, so few patches need the exact search. All have an
upper bound of their distance. In falling order of the bounds they are searched exactly, until no
bound is above the image's largest distance. A few patches of many images are searched together,
because a product of large matrices is fast.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge_ad.methods.patchcore.bank import Bank
from edge_ad.methods.patchcore.other_rows import OtherRows
from edge_ad.methods.patchcore.settings import PatchCoreConfig
from edge_ad_runtime.artifact.head_records import Scoring
from edge_ad_runtime.heads.patch_scoring import image_score, patch_distances
from edge_ad_runtime.progress import ProgressBar
from edge_ad_runtime.search import Nearest, mean_distances

_IMAGES_AT_ONCE = 32
_PATCHES_AT_ONCE = 8  # of each image


def leave_one_out(
    features: NDArray[np.float32],
    bank: Bank,
    parts: NDArray[np.int64],
    settings: PatchCoreConfig,
    *,
    progress: bool = False,
) -> NDArray[np.float64] | None:
    """The score of each image by the bank without the rows of its own part.

    Equation 7 is of the bank that is left: its neighbourhoods have no rows of that part either.

    Args:
        features: ``(N, rows, cols, D)`` of the images that the bank is of. They may be on disk.
        bank: the bank.
        parts: ``(N,)``, the number of the part that each image shows. Images of one part are left
            out together.
        settings: how distances become a score.
        progress: show a bar on stderr.

    Returns:
        ``(N,)``. None if the rows of some part are so many that too few are left to score with.
    """
    assert bank.images is not None, "the settings refuse what has no images to leave out"
    row_parts = parts[bank.images]
    if not can_leave_out(row_parts, settings):
        return None
    return scores_by_others(features, bank, parts, row_parts, settings, progress=progress)


def can_leave_out(row_parts: NDArray[np.integer], settings: PatchCoreConfig) -> bool:
    """Whether enough rows are left to score with, whichever part ``(n,)`` is left out."""
    scoring = settings.scoring
    others_at_least = len(row_parts) - np.bincount(row_parts).max()
    return bool(others_at_least >= max(scoring.neighbours, scoring.reweight_neighbours or 0))


def scores_by_others(
    features: NDArray[np.float32],
    bank: Bank,
    parts: NDArray[np.int64],
    row_parts: NDArray[np.int64],
    settings: PatchCoreConfig,
    *,
    progress: bool = False,
) -> NDArray[np.float64]:
    """The score of each image by the rows of the bank that are of other parts.

    Args:
        features: ``(N, rows, cols, D)`` of any images.
        bank: the bank.
        parts: ``(N,)``, the number of the part that each image shows.
        row_parts: ``(n,)``, the number of the part that each row of the bank is of.
        settings: how distances become a score.
        progress: show a bar on stderr.
    """
    scoring = settings.scoring
    others = OtherRows(bank.features, row_parts, seed=settings.seed)
    scores = np.empty(len(features))
    with ProgressBar[None](
        total=len(features), desc="left out", unit="image", disable=not progress
    ) as bar:
        for start in range(0, len(features), _IMAGES_AT_ONCE):
            block = slice(start, start + _IMAGES_AT_ONCE)
            patches = np.asarray(features[block]).reshape(len(parts[block]), -1, features.shape[-1])
            scores[block] = _scores(patches, parts[block], others, bank, scoring)
            bar.update(len(patches))
    return scores


def _scores(
    patches: NDArray[np.float32],
    parts: NDArray[np.int64],
    others: OtherRows,
    bank: Bank,
    scoring: Scoring,
) -> NDArray[np.float64]:
    """The scores ``(N,)`` of patches ``(N, P, D)``."""
    farthest, nearest = _farthest(patches, parts, others, scoring)
    queries = patches[np.arange(len(patches)), farthest]  # (N, D)
    distances = patch_distances(nearest, scoring)
    b = scoring.reweight_neighbours
    if b is None:
        return distances.astype(np.float64)
    support = others.nearest(bank.features[nearest.rows[:, 0]], parts, b).rows  # (N, b)
    # one patch, and a bank of what weighs it: the device's own equation 7
    return np.array(
        [
            image_score(
                queries[i : i + 1],
                distances[i : i + 1],
                Nearest(nearest.distances[i : i + 1], np.zeros((1, 1), np.int64), 1, 0.0),
                bank.features[support[i]],
                np.arange(b, dtype=np.int32)[np.newaxis],
            )
            for i in range(len(patches))
        ]
    )


def _farthest(
    patches: NDArray[np.float32],
    parts: NDArray[np.int64],
    others: OtherRows,
    scoring: Scoring,
) -> tuple[NDArray[np.int64], Nearest]:
    """The number of each image's farthest patch ``(N,)``, and what is nearest to it."""
    images, per_image, dimension = patches.shape
    k, squared = scoring.neighbours, scoring.squared
    flat = patches.reshape(-1, dimension)
    bounds = others.upper_bounds(flat, np.repeat(parts, per_image), k)
    upper = mean_distances(bounds, squared=squared).reshape(images, per_image)
    order = np.argsort(-upper, axis=1, kind="stable")
    farthest, largest = np.zeros(images, np.int64), np.full(images, -np.inf, np.float32)
    distances, rows = np.zeros((images, k), np.float32), np.zeros((images, k), np.int64)
    for start in range(0, per_image, _PATCHES_AT_ONCE):
        ahead = order[:, start : start + _PATCHES_AT_ONCE]
        image, column = np.nonzero(
            np.take_along_axis(upper, ahead, axis=1) > largest[:, np.newaxis]
        )
        if len(image) == 0:
            break
        patch = ahead[image, column]
        found = others.nearest(patches[image, patch], parts[image], k)
        exact = patch_distances(found, scoring)
        for i in np.lexsort((-patch, exact)):  # the last is the farthest, of equals the first patch
            if exact[i] >= largest[image[i]]:
                at = image[i]
                largest[at], farthest[at] = exact[i], patch[i]
                distances[at], rows[at] = found.distances[i], found.rows[i]
    return farthest, Nearest(distances, rows, images, 0.0)
