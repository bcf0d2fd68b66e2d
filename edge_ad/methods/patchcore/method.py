"""PatchCore (Roth et al. 2022): patch features of good images, a coreset of them as memory bank."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from edge_ad.features.isolation import IsolatedPatch, find_isolated, rows_kept
from edge_ad.features.layers import origin_of
from edge_ad.features.patches import PatchFeatures, build_network, restore_network
from edge_ad.features.store import features_of, only_rows
from edge_ad.features.whitening import learn_whitening, whiten_in_place
from edge_ad.images.good import GoodImages
from edge_ad.methods import Gathered, Lowered, Reference
from edge_ad.methods.patchcore.bank import Bank, build_bank
from edge_ad.methods.patchcore.left_out import leave_one_out
from edge_ad.methods.patchcore.settings import PatchCoreConfig
from edge_ad.networks.run import Run, TorchRun
from edge_ad_runtime.artifact.head_records import BankRecord, ExactSearchRecord, PatchSearchRecord
from edge_ad_runtime.heads.patch_search import BANK, BANK_NEIGHBOURS


class PatchCore:
    """See `edge_ad.methods.Method`."""

    Kept = Bank

    def train(
        self, images: GoodImages, settings: PatchCoreConfig, *, progress: bool
    ) -> PatchFeatures:
        """The pretrained network. Whitening, where it is wanted, is learned from the images."""
        network = build_network(settings)
        if settings.resolved_whiten:
            features = features_of(TorchRun(network), images, progress=progress)
            patches = features.reshape(-1, features.shape[-1])
            network.whitening = learn_whitening(patches)
            whiten_in_place(patches, network.whitening)
            images.leave(TorchRun(network), features)  # gigabytes, and the better part of a fit
        return network

    def restore(self, settings: PatchCoreConfig, state: Mapping[str, Tensor]) -> PatchFeatures:
        """See `edge_ad.methods.Method.restore`."""
        return restore_network(settings, state)

    def gather(
        self, run: Run, images: GoodImages, settings: PatchCoreConfig, *, progress: bool
    ) -> Gathered:
        """The memory bank, without the images that are too unlike the others."""
        features = features_of(run, images, progress=progress)
        isolated: list[IsolatedPatch] = []
        if not images.screened:
            isolated = find_isolated(
                features, images.paths, exclude_above=settings.exclude_outliers, seed=settings.seed
            )
        learned = rows_kept(isolated, images.paths)
        features = only_rows(features, learned)
        bank, certificate = build_bank(features, settings, progress=progress)
        left_out = None
        if settings.resolved_calibration == "leave-one-out":
            parts = images.parts[learned]
            scores = leave_one_out(features, bank, parts, settings, progress=progress)
            if scores is not None:
                left_out = np.full(len(images), np.nan)
                left_out[learned] = scores
        return Gathered(
            kept=bank, certificate=certificate, left_out=left_out, isolated=tuple(isolated)
        )

    def reference(self, run: Run, kept: Bank, settings: PatchCoreConfig) -> Reference:
        """See `edge_ad.methods.Method.reference`."""
        from edge_ad.methods.patchcore.reference import PatchCoreReference  # scipy takes a while

        return PatchCoreReference(run, kept, settings)

    def lower(self, network: nn.Module, kept: Bank, settings: PatchCoreConfig) -> Lowered:
        """The network as it is, and the head `patch-search` with the bank."""
        assert isinstance(network, PatchFeatures), "train and restore give these"
        arrays: dict[str, NDArray[Any]] = {BANK: kept.features}
        if kept.neighbours is not None:
            arrays[BANK_NEIGHBOURS] = kept.neighbours
        rows, cols = kept.grid.tolist()
        return Lowered(
            network=network,
            head=PatchSearchRecord(
                grid=(rows, cols),
                dimension=kept.features.shape[1],
                bank=BankRecord(rows=len(kept.features), precision="float32"),
                search=ExactSearchRecord(reason="not measured"),
                scoring=settings.scoring,
                map=settings.map,
            ),
            arrays=arrays,
            origin={
                "method": settings.method,
                **origin_of(network, settings),
                "patch_size": str(settings.patch_size),
            },
            in_float=("aggregation", "whitening"),
            in_half=network.in_half,
        )

    def describe(self, kept: Bank) -> str:
        """See `edge_ad.methods.Method.describe`."""
        rows, dimension = kept.features.shape
        return f"bank of {rows} patches x {dimension}"


METHOD = PatchCore()
