"""Whether this processor can learn what an int8 network for another gives."""

from __future__ import annotations

from edge_ad_export.settings import ExportConfig
from edge_ad_runtime.device.machine import saturates_int8
from edge_ad_runtime.errors import ExportError


def check_target(config: ExportConfig) -> None:
    """Refuse 8-bit weights where the method would learn through sums that are cut off.

    Raises:
        ExportError: this processor cuts them off.
    """
    if config.target != "any" and saturates_int8():
        raise ExportError(
            f"this processor has no VNNI and cuts off sums of 8-bit products, so that the bank for "
            f"--target {config.target} would be learned from other features than the device's; "
            "use --target any, or export on a machine with VNNI"
        )
