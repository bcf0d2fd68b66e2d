"""Bounds that a type may carry: ``Annotated[int, Between(1, 4096)]``.

`edge_ad_runtime.artifact.strict` checks the values in a JSON file against them, and
`edge_ad_runtime.settings` checks the values that a user sets. In a message, the text of a bound
follows the name of the type, as in *int from 1 to 4096*.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Protocol


class Bound(Protocol):
    """A condition that a value must meet beside having its type. It is given in ``Annotated``."""

    def holds(self, value: Any) -> bool:
        """Whether the value meets the condition."""

    def __str__(self) -> str:
        """The words that follow the type's name in a message."""


@dataclass(frozen=True)
class Between:
    """A number from ``least`` to ``most``, both included."""

    least: float
    most: float

    def holds(self, value: float) -> bool:
        """See `Bound`."""
        return self.least <= value <= self.most

    def __str__(self) -> str:
        return f"from {self.least:g} to {self.most:g}"


@dataclass(frozen=True)
class AtLeast:
    """A number that is ``least`` or more."""

    least: float

    def holds(self, value: float) -> bool:
        """See `Bound`."""
        return value >= self.least

    def __str__(self) -> str:
        return f"at least {self.least:g}"


@dataclass(frozen=True)
class UpTo:
    """A number that is ``most`` or less."""

    most: float

    def holds(self, value: float) -> bool:
        """See `Bound`."""
        return value <= self.most

    def __str__(self) -> str:
        return f"at most {self.most:g}"


@dataclass(frozen=True)
class Above:
    """A number that is more than ``floor``."""

    floor: float

    def holds(self, value: float) -> bool:
        """See `Bound`."""
        return value > self.floor

    def __str__(self) -> str:
        return f"above {self.floor:g}"


@dataclass(frozen=True)
class Below:
    """A number that is less than ``ceiling``."""

    ceiling: float

    def holds(self, value: float) -> bool:
        """See `Bound`."""
        return value < self.ceiling

    def __str__(self) -> str:
        return f"below {self.ceiling:g}"


@dataclass(frozen=True)
class Odd:
    """A whole number that 2 does not divide."""

    def holds(self, value: int) -> bool:
        """See `Bound`."""
        return value % 2 == 1

    def __str__(self) -> str:
        return "that is odd"


@dataclass(frozen=True)
class Except:
    """Any value but this one. ``reason`` tells a person why."""

    value: object
    reason: str

    def holds(self, value: object) -> bool:
        """See `Bound`."""
        return value != self.value

    def __str__(self) -> str:
        return f"other than {self.value} ({self.reason})"


@dataclass(frozen=True)
class OneOf:
    """One of ``known``, or any text that begins with ``prefix`` where a prefix is given."""

    known: tuple[object, ...]
    prefix: str = ""

    def holds(self, value: Any) -> bool:
        """See `Bound`."""
        return value in self.known or (self.prefix != "" and str(value).startswith(self.prefix))

    def __str__(self) -> str:
        other = f" or {self.prefix}NAME" if self.prefix else ""
        return f"that is one of {', '.join(map(str, self.known))}{other}"


@dataclass(frozen=True)
class Rising:
    """A tuple of some of ``known``, at least one and none twice, in rising order."""

    known: tuple[int, ...]

    def holds(self, value: tuple[int, ...]) -> bool:
        """See `Bound`."""
        return bool(value) and set(value) <= {*self.known} and list(value) == sorted({*value})

    def __str__(self) -> str:
        return f"that is some of {', '.join(map(str, self.known))} in rising order"


@dataclass(frozen=True)
class Matching:
    """A text that the regular expression matches from end to end. ``meaning`` says it in words."""

    pattern: str
    meaning: str

    def holds(self, value: str) -> bool:
        """See `Bound`."""
        return re.fullmatch(self.pattern, value) is not None

    def __str__(self) -> str:
        return f"that is {self.meaning}"


@dataclass(frozen=True)
class AtMost:
    """A text, a list or an object of at most so many characters or entries."""

    most: int

    def holds(self, value: Any) -> bool:
        """See `Bound`."""
        return len(value) <= self.most

    def __str__(self) -> str:
        return f"of length {self.most} at most"
