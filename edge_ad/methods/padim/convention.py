"""What the paper leaves open, and how its best-known implementation chose: the only place.

====================  ==========  ===========
                      paper       anomalib
====================  ==========  ===========
added to variances    0.01        0.01 + 1e-5
map, border           reflect     mirror
====================  ==========  ===========

*anomalib* is anomalib 2.7. It adds its small number before it inverts. Border names are scipy's:
reflect is d c b a | a b c d, and mirror is d c b | a b c d. The border changes maps by a fiftieth
of their largest value near the edges.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

ConventionName = Literal["paper", "anomalib"]


@dataclass(frozen=True, kw_only=True)
class Convention:
    """The defaults that a named convention gives to `PadimConfig`.

    Attributes:
        regularisation: the number that is added to the variance of each channel.
        border: how the map's gaussian continues the map beyond its border.
    """

    regularisation: float
    border: Literal["reflect", "mirror"]


CONVENTIONS: dict[str, Convention] = {
    "paper": Convention(regularisation=0.01, border="reflect"),
    "anomalib": Convention(regularisation=0.01 + 1e-5, border="mirror"),
}
