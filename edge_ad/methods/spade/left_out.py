"""Good images judged as if they had not been learned from, and those least like the others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ad.features.isolation import IsolatedPatch
from edge_ad.images.good import GoodImages
from edge_ad.methods.spade.gallery import GoodGallery, head_record, images_needed
from edge_ad.methods.spade.settings import SpadeConfig
from edge_ad.networks.run import Run, of_each
from edge_ad_runtime.heads import Opening
from edge_ad_runtime.heads.gallery_search import GallerySearch
from edge_ad_runtime.heads.in_memory import InMemory
from edge_ad_runtime.progress import ProgressBar
from edge_ad_runtime.search.gallery import Gallery


def leave_one_out(
    run: Run,
    images: GoodImages,
    learned: Sequence[int],
    kept: GoodGallery,
    settings: SpadeConfig,
    *,
    progress: bool,
) -> NDArray[np.float64] | None:
    """The score that each good image would have had, had it not been in the gallery.

    An image is never compared with images of its own part, or its distances would be about 0. It is
    compared with the K nearest of the others, or with all of them if they are fewer.

    Args:
        run: the network.
        images: N good images.
        learned: the numbers of those that are in the gallery, in its order.
        kept: the gallery.
        settings: how images are scored.
        progress: show a bar on stderr.

    Returns:
        ``(N,)``, nan for images that are not in the gallery. None if there are too few others for
        the settings.
    """
    count, parts = len(kept.pooled), images.parts[list(learned)]
    k = min(settings.gallery_neighbours, count - np.bincount(parts).max())
    if k < max(1, images_needed(kept, settings)):
        return None
    record = replace(head_record(kept, settings), neighbours=k)
    head = GallerySearch.open(record, InMemory(kept.arrays()), Opening(size=settings.size))
    scores = np.full(len(images), np.nan)
    own = [np.flatnonzero(parts == part) for part in parts]
    if settings.score == "dn2":
        nearest = [head.nearest(kept.pooled[row], without=own[row]) for row in range(count)]
        scores[learned] = [head.dn2(found) for found in nearest]
    else:
        row_of = {i: row for row, i in enumerate(learned)}
        for i, outputs in _outputs(run, images, progress=progress):
            if i in row_of:
                scores[i] = head.judge(outputs, with_map=False, without=own[row_of[i]]).score
    head.close()
    return scores


def _outputs(
    run: Run, images: GoodImages, *, progress: bool
) -> Iterator[tuple[int, dict[str, NDArray[Any]]]]:
    """The number of each image, and the network's outputs for it."""
    with ProgressBar[None](
        total=len(images), desc="left out", unit="image", disable=not progress
    ) as bar:
        for start, batch in images.batches():
            for i, outputs in enumerate(of_each(run(batch)), start):
                yield i, outputs
                bar.update()


def find_least_alike(
    kept: GoodGallery, paths: Sequence[Path], settings: SpadeConfig
) -> list[IsolatedPatch]:
    """The images by how far they are from the others, the farthest first.

    DN2 (Bergman et al. 2020) cleans a polluted set this way: it leaves out the share of the images
    that are farthest from their nearest neighbours. Those are marked as excluded.
    """
    count = len(kept.pooled)
    if count < 2:
        return []
    gallery, k = Gallery(kept.pooled), min(settings.gallery_neighbours, count - 1)
    nearest = [gallery.nearest(kept.pooled[i], k, without=i) for i in range(count)]
    distances = np.array([np.sqrt(found.sq_distances).mean() for found in nearest])
    median = max(float(np.median(distances)), 1e-12)
    excluded = int(settings.clean_fraction * count)
    return [
        IsolatedPatch(
            path=str(paths[i]),
            cell=(0, 0),  # of the whole image
            grid=(1, 1),
            distance=float(distances[i]),
            relative=float(distances[i]) / median,
            excluded=rank < excluded,
        )
        for rank, i in enumerate(np.argsort(-distances, kind="stable"))
    ]
