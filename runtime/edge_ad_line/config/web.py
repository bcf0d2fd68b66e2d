"""``[web]``: where the pages and the API listen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from edge_ad_line.config.words import path_field
from edge_ad_runtime.artifact.bounds import Between, Matching
from edge_ad_runtime.artifact.strict import optional


@dataclass(frozen=True, kw_only=True)
class WebConfig:
    """``[web]``: the pages and the API.

    Attributes:
        listen: ``HOST:PORT``. Without tokens it must be of the loopback.
        tokens: a TOML file of tokens by role.
        most_body_bytes: a larger request is refused.
        certificate_file: for TLS, PEM.
        key_file: its key, PEM.
    """

    listen: Annotated[str, Matching(r"(\[[0-9a-fA-F:]+\]|[^:\s]+):\d{1,5}", "HOST:PORT")] = (
        optional("127.0.0.1:8080")
    )
    tokens: str | None = path_field(default=None)
    most_body_bytes: Annotated[int, Between(1000, 10**9)] = optional(64_000_000)
    certificate_file: str | None = path_field(default=None)
    key_file: str | None = path_field(default=None)

    @property
    def host(self) -> str:
        """The host of `listen`, without brackets."""
        return self.listen.rpartition(":")[0].strip("[]")

    @property
    def port(self) -> int:
        """The port of `listen`."""
        return int(self.listen.rpartition(":")[2])
