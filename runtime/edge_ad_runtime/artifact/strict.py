"""JSON to frozen dataclasses and back, refusing every key, type and value that is not declared.

A typo in a settings file must not become a default, and a number that is out of bounds must not
reach the code that computes with it. Messages name the key the way ``jq`` would:
``search.ef_search: expected int, found "64"``.

A field is declared by its type, which may carry bounds:

>>> @dataclasses.dataclass(frozen=True)
... class Settings:
...     threads: Annotated[int, Between(1, 4096)]
>>> parse(Settings, {"threads": 0})
Traceback (most recent call last):
    ...
ValueError: threads: expected int from 1 to 4096, found 0

A field declared with `optional` may be missing, and is left out of the text while it is None. So
a key can be added without changing the files that do not need it. A union of dataclasses is told
apart by the key ``kind``, which each declares as a `Literal` of one word.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import math
import types
from typing import (
    Annotated,
    Any,
    Literal,
    NoReturn,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

from edge_ad_runtime.artifact.bounds import AtMost, Between, Bound, Matching

__all__ = ["AtMost", "Between", "Bound", "Matching", "dumps", "loads", "optional", "parse"]

T = TypeVar("T")

_MOST_DIGITS = 20  # a whole number of 64 bits has no more
_MOST_ENTRIES = 10_000_000  # a list or an object has no more


def optional(default: Any = None) -> Any:
    """The declaration of a field that may be missing, and what it is then."""
    return dataclasses.field(default=default, metadata={"optional": True})


def loads(text: str) -> object:
    """Parse JSON.

    Raises:
        ValueError: not JSON; or NaN, Infinity, a repeated key, a whole number of more than 20
            digits, nesting that is too deep, or half a surrogate pair, all of which JSON's grammar
            allows.
    """
    try:
        return json.loads(
            text,
            parse_constant=_not_json,
            parse_int=_whole_number,
            object_pairs_hook=_no_repeats,
        )
    except RecursionError:
        raise ValueError("is nested too deeply") from None


def dumps(value: Any) -> str:
    """A dataclass as indented JSON, keys in field order: the same value gives the same bytes."""
    return json.dumps(_jsonable(value), indent=2, ensure_ascii=False, allow_nan=False)


def parse(cls: type[T], value: object, where: str = "") -> T:
    """Build the dataclass ``cls`` from parsed JSON.

    Raises:
        ValueError: an unknown or missing key, a wrong type, a value that is out of bounds, or the
            dataclass's own validation.
    """
    parsed: T = _parse(cls, value, where)
    return parsed


def _jsonable(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return {
            field.name: _jsonable(getattr(value, field.name))
            for field in dataclasses.fields(value)
            if not (field.metadata.get("optional") and getattr(value, field.name) is None)
        }
    if isinstance(value, dict):
        return {key: _jsonable(item) for key, item in value.items()}
    return [_jsonable(item) for item in value] if isinstance(value, list | tuple) else value


def _parse(kind: Any, value: Any, where: str) -> Any:
    origin = get_origin(kind)
    if origin is Annotated:
        return _parse_bounded(kind, value, where)
    if dataclasses.is_dataclass(kind):
        return _parse_dataclass(kind, value, where)
    if origin in (Union, types.UnionType):
        return _parse_union(kind, value, where)
    if origin is Literal:
        known = isinstance(value, str | int) and value in get_args(kind)
        _require(known, where, f"one of {list(get_args(kind))}", value)
        return value
    if origin is tuple:
        return _parse_tuple(get_args(kind), value, where)
    if origin is dict:
        return _parse_dict(get_args(kind), value, where)
    if kind is float:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        _require(is_number and math.isfinite(value), where, "a finite number", value)
        return float(value)
    _require(type(value) is kind, where, kind.__name__, value)
    if kind is str:
        _require(_is_unicode(value), where, "text without half a surrogate pair", value)
    return value


def _parse_union(kind: Any, value: Any, where: str) -> Any:
    """``X | None``, or dataclasses told apart by their ``kind``."""
    options = [option for option in get_args(kind) if option is not types.NoneType]
    if value is None and types.NoneType in get_args(kind):
        return None
    if len(options) == 1:
        return _parse(options[0], value, where)
    _require(isinstance(value, dict), where, "an object", value)
    by_kind = {get_args(_kinds(option)["kind"])[0]: option for option in options}
    if "kind" not in value:
        raise ValueError(f"missing key {_join(where, 'kind')!r}")
    known = isinstance(value["kind"], str) and value["kind"] in by_kind
    _require(known, _join(where, "kind"), f"one of {sorted(by_kind)}", value["kind"])
    return _parse_dataclass(by_kind[value["kind"]], value, where)


def _parse_bounded(kind: Any, value: Any, where: str) -> Any:
    plain, *bounds = get_args(kind)
    if isinstance(value, list | dict):  # before its entries are parsed, which may take long
        _require_bounds(plain, [b for b in bounds if isinstance(b, AtMost)], value, where)
    parsed = _parse(plain, value, where)
    _require_bounds(plain, bounds, parsed, where)
    return parsed


def _require_bounds(plain: Any, bounds: list[Bound], value: Any, where: str) -> None:
    for bound in bounds:
        name = plain.__name__ if isinstance(plain, type) else str(plain)
        _require(bound.holds(value), where, f"{name} {bound}", value)


def _parse_dataclass(cls: Any, value: Any, where: str) -> Any:
    _require(isinstance(value, dict), where, "an object", value)
    kinds = _kinds(cls)
    fields = {field.name: field for field in dataclasses.fields(cls)}
    if unknown := sorted(value.keys() - fields.keys()):
        raise ValueError(f"unknown key {_join(where, unknown[0])!r}")
    needed = [name for name, field in fields.items() if not field.metadata.get("optional")]
    if missing := [name for name in needed if name not in value]:
        raise ValueError(f"missing key {_join(where, missing[0])!r}")
    names = [name for name in fields if name in value]
    parsed = {name: _parse(kinds[name], value[name], _join(where, name)) for name in names}
    try:
        return cls(**parsed)
    except ValueError as exc:
        raise ValueError(f"{where}: {exc}" if where else str(exc)) from exc


@functools.cache  # a manifest may list thousands of files
def _kinds(cls: Any) -> dict[str, Any]:
    return get_type_hints(cls, include_extras=True)


def _parse_tuple(kinds: tuple[Any, ...], value: Any, where: str) -> tuple[Any, ...]:
    _require(isinstance(value, list), where, "a list", value)
    _require(len(value) <= _MOST_ENTRIES, where, f"{_MOST_ENTRIES} entries at most", value)
    if kinds[-1] is Ellipsis:
        kinds = (kinds[0],) * len(value)
    _require(len(value) == len(kinds), where, f"a list of {len(kinds)}", value)
    pairs = enumerate(zip(kinds, value, strict=True))
    return tuple(_parse(kind, item, f"{where}[{i}]") for i, (kind, item) in pairs)


def _parse_dict(kinds: tuple[Any, ...], value: Any, where: str) -> dict[str, Any]:
    _require(isinstance(value, dict), where, "an object", value)
    _require(len(value) <= _MOST_ENTRIES, where, f"{_MOST_ENTRIES} entries at most", value)
    key_kind, item_kind = kinds
    return {
        _parse(key_kind, key, f"a key of {where}"): _parse(item_kind, item, _join(where, key))
        for key, item in value.items()
    }


def _require(ok: bool, where: str, expected: str, found: object) -> None:
    if not ok:
        raise ValueError(f"{where or 'top level'}: expected {expected}, found {found!r:.80}")


def _join(where: str, key: str) -> str:
    return f"{where}.{key}" if where else key


def _is_unicode(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)


def _whole_number(digits: str) -> int:
    if len(digits) > _MOST_DIGITS:
        raise ValueError(f"a whole number of {len(digits)} digits, {_MOST_DIGITS} are allowed")
    return int(digits)


def _not_json(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not a number that JSON has")


def _no_repeats(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError(f"a key occurs twice among {[key for key, _ in pairs]}"[:200])
    return found
