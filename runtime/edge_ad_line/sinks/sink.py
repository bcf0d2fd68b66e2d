"""`Sink`: what every receiver of verdicts does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from edge_ad_line.store.outbox import Message
from edge_ad_runtime.errors import EdgeADError


class SinkError(EdgeADError):
    """The other side does not take messages now. They are sent again later.

    Attributes:
        arrived: how many of those that were given have arrived, from the first on.
    """

    def __init__(self, message: str, *, arrived: int = 0) -> None:
        super().__init__(message)
        self.arrived = arrived


class RefusedError(SinkError):
    """The other side says that it will never take the message after those that have arrived."""


class Sink(Protocol):
    """A receiver of verdicts. One thread uses it."""

    def open(self) -> None:
        """Begin to connect. It does not wait, and it does not fail where nobody answers yet."""

    def send(self, messages: Sequence[Message]) -> None:
        """Send messages in order, and return when all have arrived.

        Raises:
            SinkError: not all have arrived.
        """

    def health(self, record: dict[str, Any]) -> None:
        """Tell how the device is, if this receiver wants that at all. It may be lost."""

    def check(self) -> None:
        """Try the connection, for ``--check``.

        Raises:
            EdgeADError: it cannot work.
        """

    def close(self) -> None:
        """Say good-bye and disconnect."""
