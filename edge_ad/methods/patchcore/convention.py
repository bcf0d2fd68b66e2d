"""What the paper leaves open, and how its two best-known implementations chose: the only place.

=================  =====================  ==========================  ==========================
                   paper                  inspection                  anomalib
=================  =====================  ==========================  ==========================
aggregation        mean of the p x p      adaptive bins over the      mean of the p x p
                   neighbourhood          flattened neighbourhood     neighbourhood
aggregated_dim     all channels           1024                        all channels
distance           L2                     L2 squared                  L2
image score        equation 7, b = 9      equation 6                  equation 7, b = 9
map, enlarged      bilinear               bilinear                    nearest
map, border        reflect                reflect                     mirror
=================  =====================  ==========================  ==========================

*inspection* is amazon-science/patchcore-inspection (2023), and *anomalib* is anomalib 2.7. Both
count the zeros beyond the border. Border names are scipy's: reflect is d c b a | a b c d, and
mirror is d c b | a b c d.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

ConventionName = Literal["paper", "inspection", "anomalib"]


@dataclass(frozen=True, kw_only=True)
class Convention:
    """The defaults that a named convention gives to `PatchCoreConfig`.

    Attributes:
        aggregated_dim: the number of adaptive bins in which the flattened neighbourhoods are
            averaged. With None a patch is the mean of its neighbourhood, and all channels are kept.
        squared: whether distances are squared L2.
        reweight_neighbours: b of equation 7. With 0 the score is that of equation 6.
        upsampling: how the map is enlarged.
        border: how the map's gaussian continues the map beyond its border.
    """

    aggregated_dim: int | None
    squared: bool
    reweight_neighbours: int
    upsampling: Literal["bilinear", "nearest"]
    border: Literal["reflect", "mirror"]


CONVENTIONS: dict[str, Convention] = {
    "paper": Convention(
        aggregated_dim=None,
        squared=False,
        reweight_neighbours=9,
        upsampling="bilinear",
        border="reflect",
    ),
    "inspection": Convention(
        aggregated_dim=1024,
        squared=True,
        reweight_neighbours=0,
        upsampling="bilinear",
        border="reflect",
    ),
    "anomalib": Convention(
        aggregated_dim=None,
        squared=False,
        reweight_neighbours=9,
        upsampling="nearest",
        border="mirror",
    ),
}
