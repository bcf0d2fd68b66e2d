"""Energy-based detection (Genc, Ahuja, Ndiour & Tickoo 2021): a density and its gradient."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from torch import Tensor, nn

from edge_ad.features.layers import origin_of
from edge_ad.images.good import GoodImages
from edge_ad.methods import Gathered, Lowered, Reference
from edge_ad.methods.checkpoint import identity_of
from edge_ad.methods.energy.network import (
    RAW_ENERGY,
    EnergyNetwork,
    Features,
    build_network,
    restore_network,
)
from edge_ad.methods.energy.scores import ENERGY, GRADIENT, GoodEnergies, Scores, energies_of
from edge_ad.methods.energy.settings import EnergyConfig
from edge_ad.methods.energy.training import (
    learn_normalisation,
    split_images,
    train_energy,
    values_of_images,
)
from edge_ad.methods.training_device import training_device
from edge_ad.networks.run import Run
from edge_ad_runtime.artifact.head_records import DirectRecord

NOT_OF_TRAINING = (
    *("patience", "device", "checkpoint", "score"),
    *("calibration", "holdout_fraction", "false_reject_rate"),
)
_AMPLIFICATION = 10.0  # rounding of the forward pass comes back through the backward pass
_NO_INT8 = (
    "its map is the gradient of the network that is exported, and rounding the forward half to "
    "eight bits would leave a backward half that is the gradient of another network"
)


class Energy:
    """See `edge_ad.methods.Method`."""

    Kept = GoodEnergies

    def train(self, images: GoodImages, settings: EnergyConfig, *, progress: bool) -> EnergyNetwork:
        """The energy of pixels, or of a pretrained backbone's features, trained on the images."""
        device = training_device(settings.device)
        network = build_network(settings).to(device)
        values = values_of_images(network, images, progress=progress)
        learn_normalisation(network, values, split_images(len(images), settings).trained)
        identity = (  # it reads every file again, so it is for a checkpoint alone
            "" if settings.checkpoint is None else identity_of(images, settings, NOT_OF_TRAINING)
        )
        train_energy(network, values, settings, identity, progress=progress)
        return network.cpu().eval()

    def restore(self, settings: EnergyConfig, state: Mapping[str, Tensor]) -> EnergyNetwork:
        """See `edge_ad.methods.Method.restore`."""
        return restore_network(settings, state)

    def gather(
        self, run: Run, images: GoodImages, settings: EnergyConfig, *, progress: bool
    ) -> Gathered:
        """Where the energies of good images lie."""
        return Gathered(
            kept=energies_of(
                np.concatenate([run(batch)[RAW_ENERGY] for _, batch in images.batches()])
            )
        )

    def reference(self, run: Run, kept: GoodEnergies, settings: EnergyConfig) -> Reference:
        """See `edge_ad.methods.Method.reference`."""
        from edge_ad.methods.energy.reference import EnergyReference  # scipy takes a while

        return EnergyReference(run, kept, settings)

    def lower(self, network: nn.Module, kept: GoodEnergies, settings: EnergyConfig) -> Lowered:
        """The network, the scores behind it in the same graph, and the head `direct`."""
        assert isinstance(network, EnergyNetwork), "train and restore give these"
        has_backbone = isinstance(network.values, Features)
        return Lowered(
            network=network,
            tail=Scores(kept, settings.score).eval(),
            head=DirectRecord(
                output=GRADIENT,
                grid=network.grid(settings.size),
                beside=(ENERGY,),
                score="largest" if settings.score == "gradient-max" else "given",
                map=settings.map,
            ),
            arrays={},
            origin={
                "method": settings.method,
                "space": settings.space,
                **(
                    origin_of(network.values, settings)
                    if isinstance(network.values, Features)
                    else {}
                ),
                "trainer": settings.trainer,
                "score": settings.score,
            },
            in_half=network.in_half if has_backbone else None,
            amplification=_AMPLIFICATION,
            no_int8=_NO_INT8,
        )

    def describe(self, kept: GoodEnergies) -> str:
        """See `edge_ad.methods.Method.describe`."""
        return f"energy, {kept.median[0]:.5g} +- {kept.spread[0]:.3g} of good images"


METHOD = Energy()
