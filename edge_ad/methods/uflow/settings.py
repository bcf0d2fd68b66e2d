"""The settings of a U-Flow: option, field and JSON key are one word."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from edge_ad.images.settings import size_setting
from edge_ad.methods.settings import (
    TRAINING,
    AContrarioSettings,
    DeviceName,
    checkpoint_setting,
    device_setting,
)
from edge_ad.networks.settings import Layers, NetworkSettings, layers_setting
from edge_ad_runtime.artifact.bounds import Above, AtLeast, Below, Between
from edge_ad_runtime.settings import setting

_TEST = "Test"


@dataclass(frozen=True, kw_only=True)
class UFlowConfig(NetworkSettings, AContrarioSettings):
    """U-Flow's settings (Tailanian et al. 2022). The defaults are the paper's where it names one.

    Attributes:
        flow_steps: the couplings of a scale.
        learning_rate: Adam's. The paper's is from 3e-5 to 6e-3, another for each kind of part.
        weight_decay: Adam's.
        batch_size: how many images a step of the training sees.
        epochs: the most times that the training sees each image.
        patience: the training ends after so many epochs without a better one.
        validation_fraction: the share of the images that is not trained on, in (0, 1). Half of them
            decide when the training ends and which epoch is kept, and give the latents their scale.
            The other half say how much evidence these are worth. (None of them is one of those that
            are held out for the threshold, which a fit does not look at before.)
        clip_norm: gradients of the loss of one value of the features that are longer than this are
            shortened to it. Usual ones are from 0.5 to 3.
        device: where the training runs. ``auto`` is a GPU if there is one.
        checkpoint: a file that the training leaves after each epoch. If it is there already, the
            training goes on from it. None leaves none.
        test: the published test of regions (``tree``), or the older one of windows (``blocks``).
        counting: how many regions the test counts. See
            `edge_ad_runtime.decision.a_contrario.counting`.
        latent_limit: how many standard deviations a latent counts for at most, above 1. With the
            null hypothesis ``normal`` there is no limit.
        null_hypothesis: what latents of good parts are taken for. ``normal`` is as published:
            independent and standard normal. ``measured`` lets good images say how far from that
            they are. See `edge_ad.methods.uflow.null`.
    """

    method: ClassVar[str] = "uflow"

    size: tuple[int, int] = size_setting((256, 256))
    layers: Layers = layers_setting((1, 2, 3))
    flow_steps: Annotated[int, Between(1, 16)] = setting(
        4, help="Couplings of each scale of the flow; fewer learn less by heart of few images."
    )
    learning_rate: Annotated[float, Above(0), Below(1)] = setting(
        1e-3, help="Adam's learning rate. The paper has 3e-5 to 6e-3.", group=TRAINING
    )
    weight_decay: Annotated[float, AtLeast(0), Below(1)] = setting(
        1e-5, help="Adam's weight decay.", group=TRAINING
    )
    batch_size: Annotated[int, Between(1, 1024)] = setting(
        4, help="Images that one step of the training sees.", group=TRAINING
    )
    epochs: Annotated[int, Between(1, 100_000)] = setting(
        200, help="How often the training sees each image at most.", group=TRAINING
    )
    patience: Annotated[int, AtLeast(1)] = setting(
        10,
        help="End the training after so many epochs that are no better than one before.",
        group=TRAINING,
    )
    validation_fraction: Annotated[float, Above(0), Below(1)] = setting(
        0.25,
        help="Share of the images that is not trained on: half of it tells when to end, the other "
        "half what latents are worth.",
        group=TRAINING,
    )
    clip_norm: Annotated[float, Above(0)] = setting(
        10.0,
        help="The longest gradient of a step, for each value of the features.",
        group=TRAINING,
    )
    device: DeviceName = device_setting()
    checkpoint: str | None = checkpoint_setting()
    test: Literal["tree", "blocks"] = setting(
        "tree", help="Whether regions of any shape are tested, or windows.", group=_TEST
    )
    counting: Literal["by-size", "paper"] = setting(
        "by-size",
        help="What a region pays for: the regions of its own size, or as published all of them, "
        "which a small defect on a fine grid can not.",
        group=_TEST,
    )
    latent_limit: Annotated[float, Above(1)] = setting(
        3.0,  # of 2 to 5, by held-out good images and damaged copies: benchmarks.methods.uflow
        help="A latent counts for so many standard deviations at most, so that a single one is no "
        "defect. As published there is no limit: see --null-hypothesis.",
        group=_TEST,
    )
    null_hypothesis: Literal["measured", "normal"] = setting(
        "measured",
        help="What latents of good parts are taken for: what good images show, or as published "
        "independent normal numbers.",
        group=_TEST,
    )

    @property
    def resolved_latent_limit(self) -> float | None:
        """The limit of the latents, or None where there is none."""
        return self.latent_limit if self.null_hypothesis == "measured" else None


Settings = UFlowConfig
