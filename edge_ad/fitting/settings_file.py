"""Settings as a TOML file: every fit writes one, and ``--config`` reads it again.

A table holds the options of one command, by their names and as they are typed:

    [fit]
    method = "patchcore"
    size = "448"
    layers = "1,2"

One file may have the tables of several commands.
"""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

from edge_ad.methods.settings import FitSettings
from edge_ad_runtime.errors import ConfigError
from edge_ad_runtime.regular_file import read_regular
from edge_ad_runtime.settings import settings_of

FILE_NAME = "fit.toml"

_MOST_BYTES = 1_000_000


def to_toml(config: FitSettings) -> str:
    """All settings of a fit but those that are unset, as the table ``fit``."""
    lines = ["[fit]", f"method = {_value(config.method)}"]
    for known in settings_of(type(config)):
        value = getattr(config, known.name)
        if value is not None:
            typed = value if known.spelling is None else known.spelling.show(value)
            lines.append(f"{known.name} = {_value(typed)}")
    return "\n".join(lines) + "\n"


def read_table(path: Path, table: str) -> dict[str, Any]:
    """The options of one command.

    Raises:
        ConfigError: the file cannot be read, is not TOML, or has no such table of plain values.
    """
    try:
        content = tomllib.loads(read_regular(path, most_bytes=_MOST_BYTES).decode("utf-8"))
    except OSError as exc:
        raise ConfigError(f"{path}: cannot be read: {exc.strerror}") from exc
    except ValueError as exc:
        raise ConfigError(f"{path}: not TOML: {exc}") from exc
    found = content.get(table)
    if not isinstance(found, dict):
        tables = ", ".join(f"[{name}]" for name in content) or "nothing"
        raise ConfigError(f"{path}: has no table [{table}]; it holds {tables}")
    for name, value in found.items():
        if not isinstance(value, str | int | float | bool):
            raise ConfigError(f"{path}: {table}.{name} is {value!r}; give a text or a number")
    return found


def _value(value: object) -> str:
    """A TOML value. JSON's texts, numbers, true and false are TOML's too."""
    return json.dumps(str(value) if isinstance(value, Path) else value, ensure_ascii=False)
