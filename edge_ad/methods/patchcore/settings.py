"""The settings of a fit: option, field and JSON key are one word."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from edge_ad.methods.patchcore.convention import CONVENTIONS
from edge_ad_runtime.artifact.head_records import MapSettings, Scoring
from edge_ad_runtime.errors import ConfigError
from edge_ad_runtime.images.preprocess import Preprocessing

BACKBONES = (
    "resnet18",
    "resnet34",
    "resnet50",
    "resnet101",
    "wide_resnet50_2",
    "wide_resnet101_2",
    "resnext101_32x8d",
    "densenet201",
    "procedural",
    "scattering",
)
OWN = ("procedural", "scattering")  # those with the weights 'default'
SUBSAMPLERS = ("greedy", "random", "proxies")
BLUR_SIGMA_PX = 4.0  # the paper's, at its 224 px input


@dataclass(frozen=True, kw_only=True)
class PatchCoreConfig:
    """PatchCore's settings (Roth et al. 2022); the defaults are the paper's where it names one.

    Attributes:
        backbone: one of `BACKBONES`, under torchvision's names, or ``timm:NAME``; ``auto``:
            ``procedural`` with the weights ``default``, else ``resnet18``.
        weights: ``default`` (in the package: those of ``procedural``, trained on procedural images
            alone, or the fixed filters of ``scattering``; see the modules of these names),
            ``imagenet`` (torchvision's published file; of a timm network, what timm publishes for
            it), ``untrained`` (seeded random numbers, for demonstrations) or the path of a
            .safetensors or .pth file.
        layers: residual stages (DenseNet: dense blocks) j in 1-4 whose outputs are used,
            shallowest first.
        convention: ``paper``, ``inspection`` or ``anomalib``: what the fields below that are None
            are taken from; see `edge_ad.methods.patchcore.convention`.
        patch_size: p, odd, 1-13: a patch feature sees its p x p neighbourhood.
        stride: s, 1-4: every s-th patch of the feature map is used (equation 3).
        aggregated_dim: None: the convention's; 0: all channels' means; else so many adaptive bins.
        neighbours: k, a patch's distance is the mean of those to its k nearest bank patches.
        whiten: whiten the features, as good images vary; see `edge_ad.features.whitening`. None:
            those of ``procedural`` and ``scattering`` only.
        size: ``(height, width)`` of the network's input in pixels.
        resize_px: None stretches the whole image to ``size``; a number scales to more than that
            and cuts ``size`` from the centre (the paper: 256 and 224).
        keep_aspect: with a number, scale the shorter side to it; else stretch.
        coreset_fraction: share of the patches kept in the bank, in (0, 1].
        subsampler: ``greedy`` (algorithm 1), or its baselines ``random`` and ``proxies``
            (equation 8).
        reweight_neighbours: b of equation 7, the nearest bank patch counted; 0 leaves it out;
            None: the convention's.
        shots: use only so many of the good images, a seeded draw; None: all.
        holdout_fraction: share of the good images kept out of the bank to set the threshold;
            0: none, and so no threshold: the export must be given one.
        false_reject_rate: share of good parts that may be rejected; None: the smallest that the
            held-out images support.
        exclude_outliers: leave images out of the bank whose most isolated patch is farther from all
            other images than this many times the usual; None: keep all. See
            `edge_ad.features.isolation`.
        seed: of the draw of shots, the hold-out, the coreset and untrained weights.
    """

    method: ClassVar[str] = "patchcore"

    backbone: str = "auto"
    weights: str = "default"
    layers: tuple[int, ...] = (2, 3)
    convention: str = "paper"
    patch_size: int = 3
    stride: int = 1
    aggregated_dim: int | None = None
    whiten: bool | None = None
    size: tuple[int, int] = (224, 224)
    resize_px: int | None = None
    keep_aspect: bool = False
    coreset_fraction: float = 0.1
    subsampler: str = "greedy"
    neighbours: int = 1
    reweight_neighbours: int | None = None
    shots: int | None = None
    holdout_fraction: float = 0.2
    false_reject_rate: float | None = None
    exclude_outliers: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        _require(
            self.backbone in ("auto", *BACKBONES) or self.backbone.startswith("timm:"),
            f"backbone is {self.backbone!r}; known are {', '.join(BACKBONES)} and timm:NAME",
        )
        _require(
            self.weights != "default" or self.resolved_backbone in OWN,
            f"backbone is {self.resolved_backbone!r} and weights 'default', which only "
            f"{' and '.join(OWN)} have; give --weights imagenet or a file",
        )
        _require(
            self.resolved_backbone not in OWN
            or self.weights == "default"
            or (self.resolved_backbone == "procedural" and self.weights != "imagenet"),
            f"backbone is {self.resolved_backbone!r} and weights {self.weights!r}; give "
            "--weights default",
        )
        _require(
            len(self.layers) > 0
            and set(self.layers) <= {1, 2, 3, 4}
            and list(self.layers) == sorted(set(self.layers)),
            f"layers is {list(self.layers)}; give some of 1, 2, 3, 4 in rising order, such as 2,3",
        )
        _require(
            self.patch_size % 2 == 1 and 1 <= self.patch_size <= 13,
            f"patch_size is {self.patch_size}; it must be odd, 1 to 13",
        )
        _require(
            self.convention in CONVENTIONS,
            f"convention is {self.convention!r}; known are {', '.join(CONVENTIONS)}",
        )
        _require(1 <= self.stride <= 4, f"stride is {self.stride}; it must be 1 to 4")
        _require(
            self.aggregated_dim is None or 0 <= self.aggregated_dim <= 8192,
            f"aggregated_dim is {self.aggregated_dim}; it must be 0 (all channels) to 8192",
        )
        _require(
            1 <= self.neighbours <= 100, f"neighbours is {self.neighbours}; it must be 1 to 100"
        )
        _require(
            self.subsampler in SUBSAMPLERS,
            f"subsampler is {self.subsampler!r}; known are {', '.join(SUBSAMPLERS)}",
        )
        _require(
            0 < self.coreset_fraction <= 1,
            f"coreset_fraction is {self.coreset_fraction}; it must be above 0 and at most 1",
        )
        _require(
            self.reweight_neighbours in (None, 0) or 2 <= self.reweight_neighbours <= 1000,
            f"reweight_neighbours is {self.reweight_neighbours}; it must be 0 (equation 7 left "
            "out) or 2 to 1000 (with 1 every score would be 0)",
        )
        _require(
            self.shots is None or self.shots >= 1, f"shots is {self.shots}; it must be at least 1"
        )
        _require(
            0 <= self.holdout_fraction < 1,
            f"holdout_fraction is {self.holdout_fraction}; it must be 0 (no threshold) or more, "
            "and below 1",
        )
        _require(
            self.false_reject_rate is None or 0 < self.false_reject_rate < 1,
            f"false_reject_rate is {self.false_reject_rate}; it must be between 0 and 1",
        )
        _require(
            self.exclude_outliers is None or 1 < self.exclude_outliers < math.inf,
            f"exclude_outliers is {self.exclude_outliers}; it must be a number above 1, such as 2",
        )
        _require(self.seed >= 0, f"seed is {self.seed}; it must be 0 or more")
        _ = self.preprocessing  # validates size and resize_px

    @property
    def resolved_backbone(self) -> str:
        """The backbone's name, where it is ``auto``."""
        if self.backbone != "auto":
            return self.backbone
        return "procedural" if self.weights == "default" else "resnet18"

    @property
    def resolved_whiten(self) -> bool:
        """Whether features are whitened."""
        return self.resolved_backbone in OWN if self.whiten is None else self.whiten

    @property
    def resolved_aggregated_dim(self) -> int | None:
        """Number of adaptive bins, or None for the means of all channels."""
        if self.aggregated_dim is None:
            return CONVENTIONS[self.convention].aggregated_dim
        return self.aggregated_dim or None

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

    @property
    def preprocessing(self) -> Preprocessing:
        """How images are brought to the network's input size."""
        return Preprocessing(size=self.size, resize_px=self.resize_px, keep_aspect=self.keep_aspect)


def _require(ok: bool, message: str) -> None:
    if not ok:
        raise ConfigError(message)


Settings = PatchCoreConfig
