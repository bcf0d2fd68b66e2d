"""What SPADE's score is in the paper and in its best-known implementation: the only place.

=================  ==============================  ==============================
                   paper                           byungjae89
=================  ==============================  ==============================
image score        mean of squared L2 distances    mean of L2 distances
                   (equation 2)
=================  ==============================  ==============================

*byungjae89* is byungjae89/SPADE-pytorch (commit 077c67b). It takes 5 neighbours and the paper 50,
which is ``gallery_neighbours``. Its maps are the paper's but for a fault: it leaves out the last
``rows % 100`` rows of the gallery. With current versions of torch it computes no maps at all,
because ``pairwise_distance`` has come to reduce another dimension.

Neither the paper nor its authors say whether the layers are concatenated before the search for the
nearest positions, or searched one by one and averaged. The latter gives the paper's figures, and
is what is done here.
"""

from __future__ import annotations

from typing import Literal

ConventionName = Literal["paper", "byungjae89"]

SQUARED: dict[str, bool] = {"paper": True, "byungjae89": False}
