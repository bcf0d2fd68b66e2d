"""The settings of energy-based detection: option, field and JSON key are one word."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal, Self

from edge_ad.images.settings import size_setting
from edge_ad.methods.settings import (
    TRAINING,
    DeviceName,
    FitSettings,
    checkpoint_setting,
    device_setting,
)
from edge_ad.networks.settings import Layers, NetworkSettings, layers_setting
from edge_ad_runtime.artifact.bounds import Above, AtLeast, Below, Between
from edge_ad_runtime.artifact.head_records import MapSettings
from edge_ad_runtime.errors import ConfigError
from edge_ad_runtime.settings import setting

ScoreName = Literal["energy", "gradient-norm", "gradient-max", "gradient-mean"]

_SAMPLER = "Training by sampling"
_BLUR_SHARE = 4 / 256  # of the shorter side: the standard deviation that all peers have at 256 px
_WIDTHS = {"features": 64, "pixels": 24}
_OF_A_NETWORK = ("backbone", "weights", "layers", "taps")
_OF_MATCHING = ("least_noise", "most_noise")
_OF_SAMPLING = (
    "langevin_steps",
    "langevin_step_size",
    "langevin_noise",
    "langevin_clip",
    "energy_penalty",
)


@dataclass(frozen=True, kw_only=True)
class EnergyConfig(NetworkSettings, FitSettings):
    """The settings of energy-based detection (Genc et al. 2021).

    The paper names no numbers. Where a number is from related work, its field says which.

    Attributes:
        space: what the energy is an energy of. ``pixels`` needs no pretrained network. ``features``
            are the outputs of one stage of a pretrained network, which stays as it is.
        width: the channels of the energy's first scale. Each further scale has twice as many. None
            is 64 with features and 24 with pixels, of which there are many more.
        score: what the score of an image is, see `edge_ad.methods.energy.scores`.
        trainer: ``dsm`` is denoising score matching, ``cd`` maximum likelihood by sampling. See
            `edge_ad.methods.energy.matching` and `edge_ad.methods.energy.contrast`.
        least_noise: with ``dsm``, the least standard deviation of the noise that is added to good
            images, in units of their own standard deviation.
        most_noise: the largest.
        learning_rate: Adam's at first. It falls to 0 until the last epoch.
        batch_size: how many images a step of the training sees.
        epochs: how many epochs there are at most. An epoch is 25 steps, however many images there
            are.
        patience: the training ends after so many epochs without a better one.
        validation_fraction: the share of the images that is not trained on, in (0, 1). After each
            epoch they say whether the energy has become better. (None of them is one of those that
            are held out for the threshold, which a fit does not look at before.)
        langevin_steps: with ``cd``, how many steps of Langevin dynamics a sample takes before each
            step of the training (Grathwohl et al. 2020 take 20).
        langevin_step_size: what the gradient is multiplied with in each of them.
        langevin_noise: the standard deviation of the noise that is added in each, in units of the
            images' own (Du & Mordatch 2019 have 0.005 of the range of pixels).
        langevin_clip: the gradient of a value counts as this at most (Du & Mordatch 2019).
        energy_penalty: what the square of the energies is weighed with in the loss, so that they
            stay near 0 (Du & Mordatch 2019 have 1).
        device: where the training runs. ``auto`` is a GPU if there is one.
        checkpoint: a file that the training leaves after each epoch. If it is there already, the
            training goes on from it. None leaves none.
    """

    method: ClassVar[str] = "energy"

    size: tuple[int, int] = size_setting((224, 224))
    layers: Layers = layers_setting((2,))
    space: Literal["pixels", "features"] = setting(
        "features",
        help="What is learned a density of: pixels, without any pretrained network, or the "
        "features of one of its stages, which are trained on in minutes.",
    )
    width: Annotated[int, Between(4, 512)] | None = setting(
        None,
        help="Channels of the energy's first scale; the next scales have twice as many each.",
        unset="64 with features, 24 with pixels",
    )
    score: ScoreName = setting(
        "gradient-max",
        help="The score of an image: its energy, or of the energy's gradient the norm, the map's "
        "largest value or the mean.",
    )
    trainer: Literal["dsm", "cd"] = setting(
        "dsm",
        help="Denoising score matching, which takes minutes, or maximum likelihood by sampling "
        "(contrastive divergence), as in the paper, which takes hours on a CPU.",
        group=TRAINING,
    )
    least_noise: Annotated[float, Above(0), Below(10)] = setting(
        0.1,
        help="With the trainer dsm, the least noise that is added to good images, in units of "
        "their standard deviation.",
        group=TRAINING,
    )
    most_noise: Annotated[float, Above(0), Below(10)] = setting(
        1.0, help="With the trainer dsm, the most noise that is added.", group=TRAINING
    )
    learning_rate: Annotated[float, Above(0), Below(1)] = setting(
        2e-3, help="Adam's learning rate at first.", group=TRAINING
    )
    batch_size: Annotated[int, Between(1, 1024)] = setting(
        8, help="Images that one step of the training sees.", group=TRAINING
    )
    epochs: Annotated[int, Between(1, 100_000)] = setting(
        24, help="Epochs at most; an epoch is 25 steps.", group=TRAINING
    )
    patience: Annotated[int, AtLeast(1)] = setting(
        10,
        help="End the training after so many epochs that are no better than one before.",
        group=TRAINING,
    )
    validation_fraction: Annotated[float, Above(0), Below(1)] = setting(
        0.1,
        help="Share of the images that is not trained on and tells which epoch is the best.",
        group=TRAINING,
    )
    device: DeviceName = device_setting()
    checkpoint: str | None = checkpoint_setting()
    langevin_steps: Annotated[int, Between(1, 1000)] = setting(
        20,
        help="With the trainer cd, steps of a sample before each step of the training.",
        group=_SAMPLER,
    )
    langevin_step_size: Annotated[float, Above(0)] = setting(
        1.0, help="What the gradient is multiplied with in each of them.", group=_SAMPLER
    )
    langevin_noise: Annotated[float, AtLeast(0)] = setting(
        0.01,
        help="Noise that is added in each of them, in units of the images' standard deviation.",
        group=_SAMPLER,
    )
    langevin_clip: Annotated[float, Above(0)] = setting(
        0.1, help="The most that the gradient of a value counts as.", group=_SAMPLER
    )
    energy_penalty: Annotated[float, AtLeast(0)] = setting(
        0.1, help="The weight of the squares of energies in the loss.", group=_SAMPLER
    )

    def __post_init__(self) -> None:
        if self.space == "pixels":
            self._refuse(_OF_A_NETWORK, "space 'pixels', which has no pretrained network")
        super().__post_init__()
        if self.trainer == "dsm":
            self._refuse(_OF_SAMPLING, "trainer 'dsm', which draws no samples")
        else:
            self._refuse(_OF_MATCHING, "trainer 'cd', which matches no noise")
        if self.least_noise > self.most_noise:
            raise ConfigError(
                f"least_noise is {self.least_noise:g} and most_noise {self.most_noise:g}; give a "
                "smaller --least-noise or a larger --most-noise"
            )
        if self.space == "features" and (len(self.layers) > 1 or self.taps > 1):
            raise ConfigError(
                f"layers is {','.join(map(str, self.layers))} and taps {self.taps}; an energy is "
                "of the features of one stage: give --layers one number and --taps 1"
            )

    def _refuse(self, names: tuple[str, ...], why: str) -> None:
        """Refuse settings that nothing would look at.

        Raises:
            ConfigError: one of them is not as it is by default.
        """
        fields = type(self).__dataclass_fields__
        for name in names:
            if (value := getattr(self, name)) != fields[name].default:
                option = name.replace("_", "-")
                raise ConfigError(f"{name} is {value!r} and {why}; leave --{option} out")

    @property
    def resolved_width(self) -> int:
        """The channels of the first scale, where `width` is None."""
        return self.width or _WIDTHS[self.space]

    @property
    def map(self) -> MapSettings:
        """How the gradient becomes a map."""
        return MapSettings(
            upsampling="bilinear",
            blur_sigma_px=_BLUR_SHARE * min(self.size),
            border="reflect",
        )

    def resolved(self) -> Self:
        """See `ImageSettings.resolved`. Pixels need no network."""
        return self if self.space == "pixels" else super().resolved()


Settings = EnergyConfig
