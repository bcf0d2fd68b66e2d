"""The settings of every method that describes an image patch by patch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from edge_ad.networks.settings import OWN, NetworkSettings
from edge_ad_runtime.artifact.bounds import Above, Between, Odd
from edge_ad_runtime.settings import setting

_GROUP = "Features"


@dataclass(frozen=True, kw_only=True)
class FeatureSettings(NetworkSettings):
    """How the network's outputs become patch features.

    Attributes:
        patch_size: p, odd, 1-13. A patch feature sees its p x p neighbourhood.
        stride: s, 1-4. Every s-th patch of the feature map is used (equation 3 of PatchCore).
        aggregated_dim: the number of adaptive bins. With 0 a patch is the mean of every channel,
            and with None the method decides.
        whiten: whether features are whitened by how good images vary. With None only those of
            ``procedural`` and ``scattering`` are. See `edge_ad.features.whitening`.
        exclude_outliers: leave out an image whose most isolated patch is farther from all other
            images than this many times the usual. With None all images are kept. See
            `edge_ad.features.isolation`.
    """

    patch_size: Annotated[int, Between(1, 13), Odd()] = setting(
        3, help="Width of the neighbourhood that a patch feature sees, in patches.", group=_GROUP
    )
    stride: Annotated[int, Between(1, 4)] = setting(
        1, help="Use only every n-th patch, in rows and in columns.", group=_GROUP
    )
    aggregated_dim: Annotated[int, Between(0, 8192)] | None = setting(
        None,
        help="Average each neighbourhood in so many bins; 0 keeps the means of all channels.",
        unset="the method's",
        group=_GROUP,
    )
    whiten: bool | None = setting(
        None,
        help="Scale features by how good images vary.",
        unset=f"with the backbones {' and '.join(OWN)} alone",
        group=_GROUP,
    )
    exclude_outliers: Annotated[float, Above(1)] | None = setting(
        None,
        help="Leave images out whose most isolated patch is farther from all other images than "
        "this many times the usual, such as 2.",
        unset="keep all",
        group=_GROUP,
    )

    @property
    def resolved_whiten(self) -> bool:
        """Whether features are whitened."""
        return self.resolved_backbone in OWN if self.whiten is None else self.whiten

    @property
    def resolved_aggregated_dim(self) -> int | None:
        """Number of adaptive bins, or None for the means of all channels."""
        return self.aggregated_dim or None
