"""JSON to frozen dataclasses and back, refusing every key and type that is not declared.

A typo in a settings file must not become a default. Messages name the key the way ``jq`` would:
``search.ef_search: expected int, found "64"``.
"""

from __future__ import annotations

import dataclasses
import json
import math
import types
from typing import Any, Literal, NoReturn, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")


def loads(text: str) -> object:
    """Parse JSON; NaN, Infinity and repeated keys are a ValueError."""
    return json.loads(text, parse_constant=_not_json, object_pairs_hook=_no_repeats)


def dumps(value: Any) -> str:
    """A dataclass as indented JSON, keys in field order: the same value gives the same bytes."""
    return json.dumps(dataclasses.asdict(value), indent=2, ensure_ascii=False, allow_nan=False)


def parse(cls: type[T], value: object, where: str = "") -> T:
    """Build the dataclass ``cls`` from parsed JSON.

    Raises:
        ValueError: an unknown or missing key, a wrong type, or the dataclass's own validation.
    """
    parsed: T = _parse(cls, value, where)
    return parsed


def _parse(kind: Any, value: Any, where: str) -> Any:
    origin = get_origin(kind)
    if dataclasses.is_dataclass(kind):
        return _parse_dataclass(kind, value, where)
    if origin in (Union, types.UnionType):
        present = [option for option in get_args(kind) if option is not types.NoneType]
        return None if value is None else _parse(present[0], value, where)
    if origin is Literal:
        _require(value in get_args(kind), where, f"one of {list(get_args(kind))}", value)
        return value
    if origin is tuple:
        return _parse_tuple(get_args(kind), value, where)
    if origin is dict:
        _require(isinstance(value, dict), where, "an object", value)
        item = get_args(kind)[1]
        return {key: _parse(item, entry, _join(where, key)) for key, entry in value.items()}
    if kind is float:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        _require(is_number and math.isfinite(value), where, "a finite number", value)
        return float(value)
    _require(type(value) is kind, where, kind.__name__, value)
    return value


def _parse_dataclass(cls: Any, value: Any, where: str) -> Any:
    _require(isinstance(value, dict), where, "an object", value)
    kinds = get_type_hints(cls)
    names = [field.name for field in dataclasses.fields(cls)]
    if unknown := sorted(value.keys() - set(names)):
        raise ValueError(f"unknown key {_join(where, unknown[0])!r}")
    if missing := [name for name in names if name not in value]:
        raise ValueError(f"missing key {_join(where, missing[0])!r}")
    fields = {name: _parse(kinds[name], value[name], _join(where, name)) for name in names}
    return cls(**fields)


def _parse_tuple(kinds: tuple[Any, ...], value: Any, where: str) -> tuple[Any, ...]:
    _require(isinstance(value, list), where, "a list", value)
    if kinds[-1] is Ellipsis:
        kinds = (kinds[0],) * len(value)
    _require(len(value) == len(kinds), where, f"a list of {len(kinds)}", value)
    pairs = enumerate(zip(kinds, value, strict=True))
    return tuple(_parse(kind, item, f"{where}[{i}]") for i, (kind, item) in pairs)


def _require(ok: bool, where: str, expected: str, found: object) -> None:
    if not ok:
        raise ValueError(f"{where or 'top level'}: expected {expected}, found {found!r:.80}")


def _join(where: str, key: str) -> str:
    return f"{where}.{key}" if where else key


def _not_json(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not a number that JSON has")


def _no_repeats(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError(f"a key occurs twice among {[key for key, _ in pairs]}")
    return found
