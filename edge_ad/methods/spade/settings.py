"""The settings of a SPADE: option, field and JSON key are one word."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from edge_ad.methods.settings import CalibrationName, FitSettings
from edge_ad.methods.spade.convention import SQUARED, ConventionName
from edge_ad.networks.settings import Layers, NetworkSettings, layers_setting
from edge_ad_runtime.artifact.bounds import AtLeast, Below, Between
from edge_ad_runtime.artifact.head_records import MapSettings
from edge_ad_runtime.errors import ConfigError
from edge_ad_runtime.settings import setting

BLUR_SIGMA_PX = 4.0  # the paper's, at its 224 px input


@dataclass(frozen=True, kw_only=True)
class SpadeConfig(NetworkSettings, FitSettings):
    """SPADE's settings (Cohen & Hoshen 2020). The defaults are the paper's.

    Attributes:
        layers: the layers that are compared position by position. (The layer that is pooled to find
            the similar images is the deepest that the weights have, 4 at most.)
        convention: ``paper`` or ``byungjae89``. See `edge_ad.methods.spade.convention`.
        gallery_neighbours: K, the number of most similar good images that an image is compared
            with. All are taken if there are fewer.
        pixel_neighbours: kappa. A position's distance is the mean of those to so many nearest
            positions of the K images.
        window: how many rows and columns a compared position may be away from its own, on each
            layer's grid. 0 compares the same position alone, which needs parts that do not move.
            With None all positions are compared.
        score: ``dn2`` is the paper's, from the pooled features. ``map`` is the map's largest value.
        mapped: which images have a map: ``always`` all of them, or ``suspicious`` those alone whose
            score is above the threshold, as in the paper. (In an ensemble all have one.)
        clean_fraction: the share of the good images that is left out of the gallery, those farthest
            from the others, in [0, 1). DN2 (Bergman et al. 2020) leaves out half of a set that is
            polluted.
    """

    method: ClassVar[str] = "spade"
    calibrations: ClassVar[tuple[CalibrationName, ...]] = ("leave-one-out", "split")

    layers: Layers = layers_setting((1, 2, 3))
    convention: ConventionName = setting(
        "paper",
        help="How distances of images become the score dn2: squared, as the paper says, or not, as "
        "its best-known implementation does.",
    )
    gallery_neighbours: Annotated[int, Between(1, 1000)] = setting(
        50,
        help="How many of the most similar good images an image is compared with; all, if there "
        "are fewer.",
    )
    pixel_neighbours: Annotated[int, Between(1, 100)] = setting(
        1, help="A position's distance is the mean of those to so many nearest positions."
    )
    window: Annotated[int, Between(0, 1000)] | None = setting(
        None,
        help="Compare a position only with those so many rows and columns away at most; 0 is for "
        "parts that do not move.",
        unset="compare with all positions",
    )
    score: Literal["dn2", "map"] = setting(
        "dn2",
        help="The score of an image: dn2, the mean distance to the most similar good images, or "
        "map, the largest value of its map.",
    )
    mapped: Literal["always", "suspicious"] = setting(
        "always",
        help="Which images get a map: always all of them, suspicious only those above the "
        "threshold, which saves most of the time on good parts.",
        names=("--map",),
    )
    clean_fraction: Annotated[float, AtLeast(0), Below(1)] = setting(
        0.0,
        help="Share of the images that is left out, those least like the others, where defective "
        "parts may be among them.",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.taps > 1:
            raise ConfigError(f"taps is {self.taps}; SPADE takes one output of each layer")
        if self.score == "map" and self.mapped == "suspicious":
            raise ConfigError(
                "score is 'map' and mapped 'suspicious'; that score needs the map of every image, "
                "so leave --map out"
            )

    @property
    def squared(self) -> bool:
        """Whether the score ``dn2`` is a mean of squared distances."""
        return SQUARED[self.convention]

    @property
    def map(self) -> MapSettings:
        """How distances become a map."""
        return MapSettings(upsampling="bilinear", blur_sigma_px=BLUR_SIGMA_PX, border="reflect")


Settings = SpadeConfig
