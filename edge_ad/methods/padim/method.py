"""PaDiM (Defard et al. 2021): Gaussians of good images' embeddings, and Mahalanobis distances."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from edge_ad.features.layers import origin_of
from edge_ad.images.good import GoodImages
from edge_ad.methods import Gathered, Lowered, Reference
from edge_ad.methods.padim.distance import distance_of
from edge_ad.methods.padim.embedding import Embedding, build_network, restore_network
from edge_ad.methods.padim.gaussians import Gaussians
from edge_ad.methods.padim.learning import LEAST_TO_LEAVE_OUT, learn
from edge_ad.methods.padim.passes import Passes
from edge_ad.methods.padim.settings import PadimConfig
from edge_ad.networks.run import Run
from edge_ad_runtime.artifact.head_records import DirectRecord
from edge_ad_runtime.heads import Opening, open_head
from edge_ad_runtime.heads.direct import ANOMALY
from edge_ad_runtime.heads.in_memory import InMemory


class Padim:
    """See `edge_ad.methods.Method`."""

    Kept = Gaussians

    def train(self, images: GoodImages, settings: PadimConfig, *, progress: bool) -> Embedding:
        """The pretrained network, and which of its channels are used."""
        return build_network(settings, images, progress=progress)

    def restore(self, settings: PadimConfig, state: Mapping[str, Tensor]) -> Embedding:
        """See `edge_ad.methods.Method.restore`."""
        return restore_network(settings, state)

    def gather(
        self, run: Run, images: GoodImages, settings: PadimConfig, *, progress: bool
    ) -> Gathered:
        """The Gaussians, and the score of each image if it had not been learned from."""
        found = gathered(Passes(run, images, progress=progress), settings)
        if found.left_out is not None:
            # the closed form leaves one image out, and its part would still be known by the others
            found.left_out[np.bincount(images.parts)[images.parts] > 1] = np.nan
        return found

    def reference(self, run: Run, kept: Gaussians, settings: PadimConfig) -> Reference:
        """See `edge_ad.methods.Method.reference`."""
        from edge_ad.methods.padim.reference import PadimReference  # scipy takes a while

        return PadimReference(run, kept, settings)

    def lower(self, network: nn.Module, kept: Gaussians, settings: PadimConfig) -> Lowered:
        """The network, the distance behind it in the same graph, and the head `direct`."""
        assert isinstance(network, Embedding), "train and restore give these"
        return Lowered(
            network=network,
            tail=distance_of(kept, settings.epsilon).eval(),
            head=_head(kept, settings),
            arrays={},
            origin={
                "method": settings.method,
                **origin_of(network, settings),
                "dimensions": str(kept.mean.shape[1]),
                "reduction": settings.reduction,
                "seed": str(settings.seed),
            },
            in_float=("reduction",),
            in_half=network.in_half,
        )

    def describe(self, kept: Gaussians) -> str:
        """See `edge_ad.methods.Method.describe`."""
        rows, cols = kept.grid.tolist()
        _, k, d = kept.factors.shape
        return f"Gaussians of {rows} x {cols} positions x {d}, {k} x {d} {kept.factors.dtype} each"


def gathered(passes: Passes, settings: PadimConfig) -> Gathered:
    """What images leave behind, wherever they are gone over."""
    leave_out = (
        settings.resolved_calibration == "leave-one-out" and len(passes) >= LEAST_TO_LEAVE_OUT
    )
    gaussians, distances = learn(passes, settings, leave_out=leave_out)
    left_out = None if distances is None else _scores(distances, gaussians, settings)
    return Gathered(kept=gaussians, left_out=left_out)


def _head(kept: Gaussians, settings: PadimConfig) -> DirectRecord:
    rows, cols = kept.grid.tolist()
    return DirectRecord(grid=(rows, cols), score="largest", map=settings.map)


def _scores(
    distances: NDArray[np.float32], kept: Gaussians, settings: PadimConfig
) -> NDArray[np.float64]:
    """The image scores ``(N,)`` of distances ``(N, positions)``, as the device computes them."""
    head = open_head(_head(kept, settings), InMemory({}), Opening(size=settings.size))
    grids = distances.reshape(-1, *kept.grid)
    return np.array([head.judge({ANOMALY: grid}, with_map=False).score for grid in grids])


METHOD = Padim()
