"""U-Flow (Tailanian et al. 2022): a flow of good images' features, and a test of its latents."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from torch import Tensor, nn

from edge_ad.features.layers import origin_of
from edge_ad.images.good import GoodImages
from edge_ad.methods import Gathered, Lowered, Reference
from edge_ad.methods.checkpoint import identity_of
from edge_ad.methods.training_device import training_device
from edge_ad.methods.uflow.network import (
    WINDOW_QUANTILE,
    UFlow,
    build_network,
    flow_widths,
    restore_network,
)
from edge_ad.methods.uflow.null import (
    Latents,
    look_at_latents,
    price_of,
    warn_of_variances,
)
from edge_ad.methods.uflow.settings import UFlowConfig
from edge_ad.methods.uflow.training import (
    features_of_images,
    latent_variances,
    split_images,
    train_flow,
)
from edge_ad.networks.run import Run
from edge_ad_runtime.artifact.a_contrario_records import (
    AContrarioRecord,
    BlockTestRecord,
    ScaleRecord,
    TreeTestRecord,
)

NOT_OF_TRAINING = (
    *("epochs", "patience", "device", "checkpoint", "test", "counting", "null_hypothesis"),
    "latent_limit",
    *("calibration", "false_alarms", "false_reject_rate"),
)
_AMPLIFICATION = 10.0  # levels are squares of values that have been multiplied in every coupling
_WINDOW = 5  # of the test of windows, as published
_NO_INT8 = (
    "each coupling of its flow multiplies by the exponential of a convolution's output, and the "
    "next begins with that, so that errors of eight bits grow from step to step"
)


class UFlowMethod:
    """See `edge_ad.methods.Method`."""

    Kept = Latents

    def train(self, images: GoodImages, settings: UFlowConfig, *, progress: bool) -> UFlow:
        """The pretrained backbone with a flow that is trained on its features of the images."""
        watched = split_images(len(images), settings).watched
        device = training_device(settings.device)
        network = build_network(settings).to(device)
        features = features_of_images(network, images, progress=progress)
        # it reads every file again, so it is for a checkpoint alone
        identity = (
            "" if settings.checkpoint is None else identity_of(images, settings, NOT_OF_TRAINING)
        )
        train_flow(network.flow, features, settings, identity, progress=progress)
        variances = latent_variances(network.flow, features, watched)
        warn_of_variances([each.numpy() for each in variances])
        for factor, variance in zip(network.factors, variances, strict=True):
            factor.data = variance.clamp(min=1e-12).rsqrt().float().to(device)
        return network.cpu().requires_grad_(False)

    def restore(self, settings: UFlowConfig, state: Mapping[str, Tensor]) -> UFlow:
        """See `edge_ad.methods.Method.restore`."""
        return restore_network(settings, state)

    def gather(
        self, run: Run, images: GoodImages, settings: UFlowConfig, *, progress: bool
    ) -> Gathered:
        """What the latents are worth on the images that were not trained on."""
        split = split_images(len(images), settings)
        widths = flow_widths(settings)
        latents, outputs = look_at_latents(run, images.only(split.checked), widths)
        if settings.null_hypothesis == "normal":
            return Gathered(kept=latents)
        measured = latents.with_measured_degrees()
        outputs += look_at_latents(run, images.only(split.watched), widths)[1]
        price = price_of(_record(measured, settings), outputs, settings.size)
        priced_by = np.array([len(outputs)])
        return Gathered(kept=replace(measured, price=np.array([price]), images=priced_by))

    def reference(self, run: Run, kept: Latents, settings: UFlowConfig) -> Reference:
        """See `edge_ad.methods.Method.reference`."""
        from edge_ad.methods.uflow.reference import UFlowReference  # scipy takes a while

        return UFlowReference(
            run,
            settings,
            degrees=kept.degrees.tolist(),
            price=float(kept.price[0]),
            window=_WINDOW,
            quantile=WINDOW_QUANTILE,
        )

    def lower(self, network: nn.Module, kept: Latents, settings: UFlowConfig) -> Lowered:
        """The network as it is, and the head `a-contrario`, which needs no arrays."""
        assert isinstance(network, UFlow), "train and restore give these"
        return Lowered(
            network=network,
            head=_record(kept, settings),
            arrays={},
            origin={
                "method": settings.method,
                **origin_of(network, settings),
                "flow_steps": str(settings.flow_steps),
            },
            in_half=network.in_half,
            amplification=_AMPLIFICATION,
            no_int8=_NO_INT8,
        )

    def describe(self, kept: Latents) -> str:
        """See `edge_ad.methods.Method.describe`."""
        grids = ", ".join(f"{rows} x {cols}" for rows, cols in kept.grids.tolist())
        pairs = zip(kept.degrees.tolist(), kept.channels.tolist(), strict=True)
        degrees = ", ".join(f"{found:.3g} of {channels}" for found, channels in pairs)
        return (
            f"flow with latents of {grids}, degrees of freedom {degrees}, price "
            f"{kept.price[0]:.3g} decades (by {kept.images[0]} good images not trained on)"
        )


METHOD = UFlowMethod()


def _record(latents: Latents, settings: UFlowConfig) -> AContrarioRecord:
    pairs = zip(latents.grids.tolist(), latents.degrees.tolist(), strict=True)
    return AContrarioRecord(
        scales=tuple(ScaleRecord(grid=(rows, cols), degrees=d) for (rows, cols), d in pairs),
        test=TreeTestRecord(counting=settings.counting)
        if settings.test == "tree"
        else BlockTestRecord(window=_WINDOW, quantile=WINDOW_QUANTILE),
        price=float(latents.price[0]),
    )
