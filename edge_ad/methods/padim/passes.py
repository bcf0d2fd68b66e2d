"""Embeddings of good images, as often as they are asked for."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from edge_ad.images.good import GoodImages
from edge_ad.methods.padim import many
from edge_ad.networks.run import Run
from edge_ad_runtime.progress import ProgressBar

EMBEDDING = "embedding"
"""The network's output, ``(N, rows, cols, d)`` float32."""

_KEPT_BYTES = 1_000_000_000
_BATCH = 8


class Passes:
    """Goes over the embeddings of images, any number of which fits into memory.

    Embeddings up to `_KEPT_BYTES` are kept from the first pass. Beyond that the network runs again
    in every pass, as far as it has to.

    Args:
        run: the network.
        images: at least one image.
        progress: show a bar for each pass on stderr.
    """

    def __init__(self, run: Run, images: GoodImages, *, progress: bool) -> None:
        self._run = run
        self._images = images
        self._progress = progress
        self._kept: NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self._images)

    def shape(self) -> tuple[int, int, int]:
        """Rows, columns and d of an embedding."""
        _, first = next(self._images.only([0]).batches())
        _, rows, cols, dimensions = self._run(first)[EMBEDDING].shape
        return rows, cols, dimensions

    def batches(self, what: str) -> Iterator[NDArray[np.float32]]:
        """Go over the images in order, ``(n, positions, d)`` at a time.

        Args:
            what: what the pass is for, in one word, for the bar.
        """
        if self._kept is not None:
            yield from (self._kept[start : start + _BATCH] for start in range(0, len(self), _BATCH))
            return
        kept: NDArray[np.float32] | None = None
        with ProgressBar[None](
            total=len(self), desc=what, unit="image", disable=not self._progress
        ) as bar:
            for start, images in self._images.batches():
                values = self._run(images)[EMBEDDING]
                batch = values.reshape(len(values), -1, values.shape[-1])  # (n, positions, d)
                if start == 0 and len(self) * batch[0].nbytes <= _KEPT_BYTES:
                    kept = np.empty((len(self), *batch.shape[1:]), np.float32)
                if kept is not None:
                    kept[start : start + len(batch)] = batch
                bar.update(len(batch))
                yield batch
        self._kept = kept

    def sums(self, band: slice) -> many.Sums:
        """The sums over all images of the positions of a band."""
        found: many.Sums | None = None
        for batch in self.batches("covariance"):
            found = found or many.Sums(batch[0, band])
            found.add(batch[:, band])
        assert found is not None, "there are images"
        return found

    def left_out(self, band: slice, mean: Tensor, roots: Tensor) -> NDArray[np.float32]:
        """For each image ``(N, positions)`` its distances from all others' Gaussians.

        See `many.left_out_distances` for the mean and the roots.
        """
        batches = self.batches("threshold")
        found = [many.left_out_distances(b[:, band], mean, roots, len(self)) for b in batches]
        return np.concatenate(found)
