"""The words of ``line.toml`` that several of its tables share."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any, Literal

from edge_ad_runtime.artifact.bounds import AtMost, Between, Matching

Name = Annotated[
    str,
    Matching("[A-Za-z0-9][A-Za-z0-9_-]{0,49}", "1 to 50 letters, digits, _ and -, no sign first"),
]
Text = Annotated[str, AtMost(1000)]
Count = Annotated[int, Between(1, 10**9)]
Bytes = Annotated[int, Between(0, 10**15)]
Milliseconds = Annotated[int, Between(1, 3_600_000)]
Mode = Literal["free-running", "triggered", "on-request"]


def path_field(**given: Any) -> Any:
    """The declaration of a path. It becomes absolute when the file is read."""
    optional_too = {"optional": True} if given else {}
    return dataclasses.field(**given, metadata={"path": True, **optional_too})
