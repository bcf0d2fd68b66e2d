"""PaDiM's Gaussians from images that are spread over many machines: sums of sums.

Each machine goes over its share of the images and adds up what `many.Sums` adds up. This process
adds the shares. Where one band of positions is learned after the other, the network runs again for
as it does on one machine whose memory does not hold the embeddings.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from edge_ad.compute import Cluster, in_order
from edge_ad.features.tasks import looked_at
from edge_ad.images.good import GoodImages
from edge_ad.images.named import decode_named, preprocessed, read_named
from edge_ad.methods.on_cluster import LearnedOnCluster, WorkSettings, refuse_unreadable
from edge_ad.methods.padim import many
from edge_ad.methods.padim.embedding import build_network
from edge_ad.methods.padim.method import gathered
from edge_ad.methods.padim.passes import EMBEDDING, Passes
from edge_ad.methods.padim.settings import PadimConfig
from edge_ad.networks.run import Run, TorchRun
from edge_ad_runtime.errors import ConfigError
from edge_ad_runtime.images.preprocess import Preprocessing

_BATCH = 8


def learn_on(
    cluster: Cluster, names: Sequence[str], settings: PadimConfig, work: WorkSettings
) -> LearnedOnCluster:
    """See `edge_ad.methods.on_cluster.LearnOn`. The reduction must not look at images."""
    if settings.reduction == "pca":
        raise ConfigError("reduction is 'pca'; on a cluster it must be 'random' or 'all'")
    parts = [names[i : i + work.task_images] for i in range(0, len(names), work.task_images)]
    found = in_order(cluster.map(partial(looked_at, look=decode_named), parts))
    unreadable = [line for _, lines in found for line in lines]
    images = tuple(image for readable, _ in found for image in readable)
    refuse_unreadable(unreadable, are_skipped=bool(images) and work.skip_unreadable)
    none = GoodImages([], settings.preprocessing)  # which a random choice does not look at
    network = build_network(settings, none, progress=False)
    share = Share(run=TorchRun(network), preprocessing=settings.preprocessing)
    passes = ClusterPasses(cluster, share, [image.name for image in images])
    return LearnedOnCluster(network=network, gathered=gathered(passes, settings), images=images)


@dataclass(frozen=True, kw_only=True)
class Share:
    """How a machine goes over its share of the images."""

    run: Run
    preprocessing: Preprocessing

    def batches(self, names: Sequence[str]) -> Iterator[NDArray[np.float32]]:
        """The embeddings of images, ``(n, positions, d)`` at a time."""
        for start in range(0, len(names), _BATCH):
            part = names[start : start + _BATCH]
            pixels = [preprocessed(name, read_named(name), self.preprocessing) for name in part]
            values = self.run(np.stack(pixels))[EMBEDDING]
            yield values.reshape(len(values), -1, values.shape[-1])

    def all(self, names: Sequence[str]) -> NDArray[np.float32]:
        """The embeddings of images, ``(N, positions, d)``."""
        return np.concatenate(list(self.batches(names)))

    def sums(self, names: Sequence[str], *, first: NDArray[np.float32], band: slice) -> many.Sums:
        """The sums over images, relative to the embeddings of the ``first`` of all."""
        found = many.Sums(first)
        for batch in self.batches(names):
            found.add(batch[:, band])
        return found

    def left_out(
        self, names: Sequence[str], *, band: slice, mean: Tensor, roots: Tensor, number: int
    ) -> NDArray[np.float32]:
        """The distances of images from the Gaussians of all others."""
        batches = self.batches(names)
        found = [many.left_out_distances(b[:, band], mean, roots, number) for b in batches]
        return np.concatenate(found)


class ClusterPasses(Passes):
    """Goes over the embeddings of images on a cluster, a share on each machine.

    Args:
        cluster: where.
        share: how each machine goes over its share.
        names: the images, at least one.
    """

    def __init__(self, cluster: Cluster, share: Share, names: Sequence[str]) -> None:
        self._cluster = cluster
        self._share = share
        self._names = names
        cuts = np.linspace(0, len(names), min(cluster.slots, len(names)) + 1).astype(int)
        self._parts = [names[a:b] for a, b in zip(cuts[:-1], cuts[1:], strict=True)]

    def __len__(self) -> int:
        return len(self._names)

    def shape(self) -> tuple[int, int, int]:
        """See `Passes.shape`."""
        name = self._names[0]
        pixels = preprocessed(name, read_named(name), self._share.preprocessing)
        _, rows, cols, dimensions = self._share.run(pixels[np.newaxis])[EMBEDDING].shape
        return rows, cols, dimensions

    def batches(self, what: str) -> Iterator[NDArray[np.float32]]:
        """See `Passes.batches`, which is asked of few images alone."""
        yield from in_order(self._cluster.map(self._share.all, self._parts))

    def sums(self, band: slice) -> many.Sums:
        """See `Passes.sums`."""
        first = self._share.all(self._names[:1])[0, band]
        task = partial(self._share.sums, first=first, band=band)
        total, *others = in_order(self._cluster.map(task, self._parts))
        for other in others:
            total.merge(other)
        return total

    def left_out(self, band: slice, mean: Tensor, roots: Tensor) -> NDArray[np.float32]:
        """See `Passes.left_out`."""
        number = len(self._names)
        task = partial(self._share.left_out, band=band, mean=mean, roots=roots, number=number)
        return np.concatenate(in_order(self._cluster.map(task, self._parts)))
