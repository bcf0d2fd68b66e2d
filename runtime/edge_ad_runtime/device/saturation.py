"""A warning where this processor may give an int8 network other scores than the exported ones."""

from __future__ import annotations

import warnings
from collections.abc import Iterable

from edge_ad_runtime.artifact.schema import NetworkRecord
from edge_ad_runtime.device.machine import saturates_int8
from edge_ad_runtime.errors import EdgeADWarning


def warn_where_int8_saturates(networks: Iterable[NetworkRecord]) -> None:
    """Warn once if one of these networks, which run on the CPU, may need wider sums than it has."""
    if any(map(_may_saturate, networks)) and saturates_int8():
        warnings.warn(
            "this processor has no VNNI, and cuts off sums of 8-bit products that the int8 network "
            "may need: scores may differ from the exported ones; export with --target any for it "
            "(edge-ad verify says how far they differ)",
            EdgeADWarning,
            stacklevel=5,
        )


def _may_saturate(network: NetworkRecord) -> bool:
    return network.precision == "int8" and network.quantised_for != "any"
