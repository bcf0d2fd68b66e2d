"""The settings of a PatchCore: option, field and JSON key are one word."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from edge_ad.features.settings import FeatureSettings
from edge_ad.methods.patchcore.convention import CONVENTIONS, ConventionName
from edge_ad.methods.settings import CalibrationName, FitSettings
from edge_ad_runtime.artifact.bounds import Above, Between, Except, UpTo
from edge_ad_runtime.artifact.head_records import MapSettings, Scoring
from edge_ad_runtime.errors import ConfigError
from edge_ad_runtime.settings import setting

BLUR_SIGMA_PX = 4.0  # the paper's, at its 224 px input


@dataclass(frozen=True, kw_only=True)
class PatchCoreConfig(FeatureSettings, FitSettings):
    """PatchCore's settings (Roth et al. 2022). The defaults are the paper's where it names one.

    Attributes:
        convention: ``paper``, ``inspection`` or ``anomalib``. It decides what ``aggregated_dim``
            and ``reweight_neighbours`` are where they are None, and what the paper leaves open.
            See `edge_ad.methods.patchcore.convention`.
        coreset_fraction: the share of the patches that is kept in the bank, in (0, 1].
        subsampler: how the bank's patches are chosen: ``greedy`` (algorithm 1), or one of its
            baselines, ``random`` and ``proxies`` (equation 8).
        coreset: whether a cluster picks greedily as one machine does, ``exact``, or in two rounds,
            ``composable``. On one machine both are the same. See `edge_ad.features.composable`.
        neighbours: k, 1-100. A patch's distance is the mean of those to its k nearest bank patches.
        reweight_neighbours: b of equation 7, which counts the nearest bank patch. 0 leaves the
            equation out, and None takes the convention's.
    """

    method: ClassVar[str] = "patchcore"
    calibrations: ClassVar[tuple[CalibrationName, ...]] = ("leave-one-out", "split")

    convention: ConventionName = setting(
        "paper",
        help="How patches are aggregated and scored: as the paper says, or as one of its "
        "best-known implementations does.",
    )
    coreset_fraction: Annotated[float, Above(0), UpTo(1)] = setting(
        0.1, help="Share of the patches that is kept in the bank."
    )
    subsampler: Literal["greedy", "random", "proxies"] = setting(
        "greedy", help="How the patches of the bank are chosen."
    )
    coreset: Literal["exact", "composable"] = setting(
        "exact",
        help="With --cluster, how greedy patches are chosen over many machines: as one machine "
        "would (exact), or in two rounds, for slow links, which covers less well (composable).",
    )
    neighbours: Annotated[int, Between(1, 100)] = setting(
        1, help="A patch's distance is the mean of those to so many nearest patches of the bank."
    )
    reweight_neighbours: (
        Annotated[int, Between(0, 1000), Except(1, "with 1 every score would be 0")] | None
    ) = setting(
        None,
        help="How many patches of the bank weigh the score (b of equation 7); 0 leaves the "
        "weight out.",
        unset="the convention's",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.subsampler == "proxies" and self.calibration == "leave-one-out":
            raise ConfigError(
                "calibration is 'leave-one-out' and subsampler 'proxies', whose bank has no rows "
                "that are of one image alone; give --calibration split"
            )

    @property
    def resolved_calibration(self) -> CalibrationName:
        """How the threshold is set, where `calibration` is None."""
        if self.subsampler == "proxies":
            return "split"
        return super().resolved_calibration

    @property
    def resolved_aggregated_dim(self) -> int | None:
        """Number of adaptive bins, or None for the means of all channels."""
        if self.aggregated_dim is None:
            return CONVENTIONS[self.convention].aggregated_dim
        return super().resolved_aggregated_dim

    @property
    def scoring(self) -> Scoring:
        """How distances become a score."""
        convention = CONVENTIONS[self.convention]
        b = self.reweight_neighbours
        return Scoring(
            neighbours=self.neighbours,
            squared=convention.squared,
            reweight_neighbours=(convention.reweight_neighbours if b is None else b) or None,
        )

    @property
    def map(self) -> MapSettings:
        """How distances become a map."""
        convention = CONVENTIONS[self.convention]
        return MapSettings(
            upsampling=convention.upsampling,
            blur_sigma_px=BLUR_SIGMA_PX,
            border=convention.border,
        )


Settings = PatchCoreConfig
