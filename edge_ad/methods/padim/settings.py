"""The settings of a PaDiM: option, field and JSON key are one word."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from edge_ad.methods.padim.convention import CONVENTIONS, ConventionName
from edge_ad.methods.settings import CalibrationName, FitSettings
from edge_ad.networks.settings import Layers, NetworkSettings, layers_setting
from edge_ad_runtime.artifact.bounds import Above, Between
from edge_ad_runtime.artifact.head_records import MapSettings
from edge_ad_runtime.errors import ConfigError
from edge_ad_runtime.settings import setting

BLUR_SIGMA_PX = 4.0  # the paper's, at its 224 px input
DIMENSIONS = 100  # the paper's with ResNet18. With WideResNet50 it takes 550


@dataclass(frozen=True, kw_only=True)
class PadimConfig(NetworkSettings, FitSettings):
    """PaDiM's settings (Defard et al. 2021). The defaults are the paper's for ResNet18.

    Attributes:
        convention: ``paper`` or ``anomalib``. It decides what ``regularisation`` is where that is
            None, and how maps are blurred at their border. See
            `edge_ad.methods.padim.convention`.
        layers: see `NetworkSettings`. All outputs are brought to the grid of the first.
        dimensions: d, 1-4096. So many values describe each position. With None it is 100, or all
            channels of a network that has fewer.
        reduction: how the network's channels become d: ``random`` draws them by the seed (the
            paper), ``pca`` takes the directions in which good images vary most, and ``all`` keeps
            every channel.
        regularisation: epsilon, above 0. It is added to the variance of each channel, so that the
            covariance of few images can be inverted. None takes the convention's.
        factor_precision: how the factors of the inverse covariances are stored. ``float16`` halves
            their size, except where there are so few images that the factors are smaller anyway
            (`edge_ad.methods.padim.gaussians.rank_kept`).
    """

    method: ClassVar[str] = "padim"
    calibrations: ClassVar[tuple[CalibrationName, ...]] = ("leave-one-out", "split")

    convention: ConventionName = setting(
        "paper",
        help="What the paper leaves open: as its text has it, or as anomalib does it.",
    )
    layers: Layers = layers_setting((1, 2, 3))
    dimensions: Annotated[int, Between(1, 4096)] | None = setting(
        None,
        help="How many values describe a position. The paper has 100 with ResNet18 and 550 with "
        "WideResNet50.",
        unset=f"{DIMENSIONS}, or all channels where there are fewer",
    )
    reduction: Literal["random", "pca", "all"] = setting(
        "random",
        help="How the network's channels are reduced to that: drawn by the seed (random), the "
        "directions in which good images vary most (pca), or not at all (all).",
    )
    regularisation: Annotated[float, Above(0)] | None = setting(
        None,
        help="Added to the variance of each channel, so that few images are enough.",
        unset="the convention's",
    )
    factor_precision: Literal["float32", "float16"] = setting(
        "float32",
        help="How the Gaussians' factors are stored. float16 halves them, unless there are so few "
        "images that they are small anyway.",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.reduction == "all" and self.dimensions is not None:
            raise ConfigError(
                f"reduction is 'all' and dimensions {self.dimensions}; leave dimensions out, or "
                "give --reduction random"
            )

    @property
    def epsilon(self) -> float:
        """What is added to each variance."""
        if self.regularisation is None:
            return CONVENTIONS[self.convention].regularisation
        return self.regularisation

    @property
    def map(self) -> MapSettings:
        """How distances become a map."""
        return MapSettings(
            upsampling="bilinear",
            blur_sigma_px=BLUR_SIGMA_PX,
            border=CONVENTIONS[self.convention].border,
        )


Settings = PadimConfig
