"""What cannot run on a machine is a row of the record that says why; the other rows go on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from edge_ad_runtime.errors import EdgeADError


def or_refused(what: Callable[..., dict[str, Any]], *arguments: object) -> dict[str, Any]:
    """What ``what`` gives; or, where an engine or a processor cannot do it, why not."""
    try:
        return what(*arguments)
    except EdgeADError as exc:
        return {"refused": str(exc)}
