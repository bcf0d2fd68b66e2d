"""SPADE (Cohen & Hoshen 2020): a gallery of good images, and an image's differences from it."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from edge_ad.features.isolation import rows_kept
from edge_ad.features.layers import origin_of
from edge_ad.images.good import GoodImages
from edge_ad.methods import Gathered, Lowered, Reference
from edge_ad.methods.spade.gallery import GoodGallery, build_gallery, check_enough, head_record
from edge_ad.methods.spade.left_out import find_least_alike, leave_one_out
from edge_ad.methods.spade.network import PooledAndLayers, build_network, restore_network
from edge_ad.methods.spade.settings import SpadeConfig
from edge_ad.networks.run import Run


class Spade:
    """See `edge_ad.methods.Method`."""

    Kept = GoodGallery

    def train(
        self, images: GoodImages, settings: SpadeConfig, *, progress: bool
    ) -> PooledAndLayers:
        """The pretrained network. Nothing is trained."""
        return build_network(settings)

    def restore(self, settings: SpadeConfig, state: Mapping[str, Tensor]) -> PooledAndLayers:
        """See `edge_ad.methods.Method.restore`."""
        return restore_network(settings, state)

    def gather(
        self, run: Run, images: GoodImages, settings: SpadeConfig, *, progress: bool
    ) -> Gathered:
        """The gallery, without the images that are least like the others where that is wanted."""
        kept = build_gallery(run, images, progress=progress)
        isolated = [] if images.screened else find_least_alike(kept, images.paths, settings)
        learned = rows_kept(isolated, images.paths)
        kept = kept.only(learned)
        check_enough(kept, settings)
        left_out = None
        if settings.resolved_calibration == "leave-one-out":
            left_out = leave_one_out(run, images, learned, kept, settings, progress=progress)
        return Gathered(kept=kept, left_out=left_out, isolated=tuple(isolated))

    def reference(self, run: Run, kept: GoodGallery, settings: SpadeConfig) -> Reference:
        """See `edge_ad.methods.Method.reference`."""
        from edge_ad.methods.spade.reference import SpadeReference  # scipy takes a while

        return SpadeReference(run, kept, settings)

    def lower(self, network: nn.Module, kept: GoodGallery, settings: SpadeConfig) -> Lowered:
        """The network as it is, and the head `gallery-search` with the gallery."""
        assert isinstance(network, PooledAndLayers), "train and restore give these"
        return Lowered(
            network=network,
            head=head_record(kept, settings),
            arrays=kept.arrays(),
            origin={
                "method": settings.method,
                **origin_of(network, settings),
                "pooled_layer": str(int(network.pooled_layer)),
            },
            in_half=network.in_half,
        )

    def describe(self, kept: GoodGallery) -> str:
        """See `edge_ad.methods.Method.describe`."""
        images, dimension = kept.pooled.shape
        return f"gallery of {images} images x {dimension}, {', '.join(kept.layers)}"


METHOD = Spade()
