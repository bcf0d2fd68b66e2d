"""Settings that a user chooses. A field says once what it is, for Python and the command line.

>>> @dataclass(frozen=True, kw_only=True)
... class Sieve(Settings):
...     metal: Literal["steel", "brass"] = setting("steel", help="What the wires are made of.")
>>> Sieve(metal="zinc")
Traceback (most recent call last):
    ...
edge_ad_runtime.errors.ConfigError: metal is 'zinc'; it must be one of steel, brass

The type may be ``int``, ``float``, ``bool``, ``str``, ``Path``, a ``Literal`` of texts or a tuple
of whole numbers. Each may have bounds in ``Annotated``, and each may be ``| None``.
`edge_ad_runtime.commands.options.options_of` reads help, default and bounds from the field.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from edge_ad_runtime.artifact.bounds import Bound, OneOf
from edge_ad_runtime.errors import ConfigError

_KEY = "setting"
_KINDS = {
    int: "a whole number",
    float: "a finite number",
    bool: "true or false",
    str: "a text",
    Path: "a path",
}


@dataclass(frozen=True)
class Spelling:
    """How a user types a value that is more than a number or a word, such as a size.

    Attributes:
        metavar: the word that stands for it in the help, such as ``SIZE``.
        parse: turns the text into the value. It raises ValueError with what was expected.
        show: turns the value into the text, for the default in the help.
    """

    metavar: str
    parse: Callable[[str], Any]
    show: Callable[[Any], str]


@dataclass(frozen=True, kw_only=True)
class Setting:
    """All there is to know of one field of a `Settings` class.

    Attributes:
        name: the field's name.
        kind: ``int``, ``float``, ``bool``, ``str``, ``Path``, or ``tuple`` of whole numbers.
        length: the length of a tuple. None allows any.
        bounds: the bounds that the field's type carries. A ``Literal`` has a `OneOf`.
        nullable: whether the value may be None.
        default: the field's default.
        help: the help for people, in sentences.
        unset: what None stands for.
        names: other names of the option, beside the one made from the field's name.
        spelling: how the value is typed, unless it is a number, a word or a flag.
        group: the title in the help. If it is empty, the title of the class's own settings is used.
    """

    name: str
    kind: type
    length: int | None
    bounds: tuple[Bound, ...]
    nullable: bool
    default: Any
    help: str
    unset: str
    names: tuple[str, ...]
    spelling: Spelling | None
    group: str

    def check(self, value: object) -> None:
        """Refuse a value of another type or out of bounds.

        Raises:
            ConfigError: the value cannot work. The message names the field, the value, and what it
                must be.
        """
        if value is None and self.nullable:
            return
        bounds = " and ".join(map(worded, self.bounds))
        if not self._is_kind(value):
            expected = f"{self._kind_text} {bounds}".rstrip()
        elif not all(bound.holds(value) for bound in self.bounds):
            expected = bounds
        else:
            return
        raise ConfigError(f"{self.name} is {value!r}; it must be {expected}")

    def _is_kind(self, value: Any) -> bool:
        if self.kind is tuple:
            right = isinstance(value, tuple) and self.length in (None, len(value))
            return right and all(_is_whole(item) for item in value)
        if self.kind is float:
            number = isinstance(value, int | float) and not isinstance(value, bool)
            return number and math.isfinite(value)
        return _is_whole(value) if self.kind is int else isinstance(value, self.kind)

    @property
    def _kind_text(self) -> str:
        if self.kind is not tuple:
            return _KINDS[self.kind]
        return "whole numbers" if self.length is None else f"{self.length} whole numbers"


def setting(
    default: Any,
    *,
    help: str,
    unset: str = "",
    names: tuple[str, ...] = (),
    spelling: Spelling | None = None,
    group: str = "",
) -> Any:
    """Make a field of a `Settings` class. See `Setting` for what the arguments mean."""
    told = {"help": help, "unset": unset, "names": names, "spelling": spelling, "group": group}
    return dataclasses.field(default=default, metadata={_KEY: told})


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Base of settings. Every field is made with `setting` and checked when a value is given.

    A subclass that has rules between its fields calls ``super().__post_init__()`` first.
    """

    def __post_init__(self) -> None:
        for known in settings_of(type(self)):
            known.check(getattr(self, known.name))


S = TypeVar("S", bound=Settings)


def make(cls: type[S], values: Mapping[str, object]) -> S:
    """Make the settings ``cls`` from ``values``, which hold one for every field, or also others.

    Raises:
        ConfigError: a value cannot work.
    """
    build: Callable[..., S] = cls
    return build(**{known.name: values[known.name] for known in settings_of(cls)})


def settings_of(cls: type[Settings]) -> tuple[Setting, ...]:
    """The settings of a class, in the order of its fields."""
    key: Any = cls  # mypy holds a class's own __hash__ against it
    return _settings_of(key)


@functools.cache
def _settings_of(cls: Any) -> tuple[Setting, ...]:
    kinds = get_type_hints(cls, include_extras=True)
    return tuple(_setting(field, kinds[field.name]) for field in dataclasses.fields(cls))


def worded(bound: Bound) -> str:
    """The words for a bound that follow *it must be* in a message."""
    return str(bound).removeprefix("that is ")


def _setting(field: dataclasses.Field[Any], hint: Any) -> Setting:
    nullable = get_origin(hint) in (Union, types.UnionType)
    if nullable:
        (hint,) = (part for part in get_args(hint) if part is not types.NoneType)
    bounds: tuple[Bound, ...] = ()
    if get_origin(hint) is Annotated:
        hint, *given = get_args(hint)
        bounds = tuple(given)
    if get_origin(hint) is Literal:
        hint, bounds = str, (OneOf(get_args(hint)), *bounds)
    length = None
    if get_origin(hint) is tuple:
        parts = get_args(hint)
        length = None if parts[-1] is Ellipsis else len(parts)
        hint = tuple
    return Setting(
        name=field.name,
        kind=hint,
        length=length,
        bounds=bounds,
        nullable=nullable,
        default=field.default,
        **field.metadata[_KEY],
    )


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
