"""``parts.toml``: which parts, which settings, and what each cell of the two is made from.

[defaults]                        # settings of fit, for all
size = 224

[[part]]
name = "lid"
good = "lid/good"                 # relative to this file
test = "lid/test"                 # labelled images, if there are any

[[setting]]
name = "small"
method = "patchcore"              # options of edge-ad fit, with underscores
coreset_fraction = 0.01
export = { precision = "int8" }   # options of edge-ad export
gpus = 0                          # that a cell needs
"""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from edge_ad.fitting.fitting import versions
from edge_ad.images.good import list_images
from edge_ad.methods import settings_class
from edge_ad.methods.settings import FitSettings
from edge_ad_export.settings import ExportConfig
from edge_ad_runtime.artifact import strict
from edge_ad_runtime.artifact.folder import hash_file
from edge_ad_runtime.errors import ConfigError, EdgeADError
from edge_ad_runtime.settings import Setting, settings_of

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_DEFAULT_METHOD = "patchcore"


@dataclass(frozen=True, kw_only=True)
class Part:
    """A part: its good images, and labelled ones if there are any."""

    name: str
    good: Path
    test: Path | None

    @cached_property
    def contents(self) -> tuple[str, ...]:
        """A line for each file, with its SHA-256.

        Raises:
            EdgeADError: the folder is not there, or a file cannot be read.
        """
        files = list_images(self.good)
        if self.test is not None:
            if not self.test.exists():
                raise ConfigError(f"part {self.name}: test is {self.test}; there is no such folder")
            files += [self.test] if self.test.is_file() else sorted(_below(self.test))
        try:
            return tuple(f"{path} {hash_file(path).sha256}" for path in files)
        except OSError as exc:
            raise ConfigError(f"part {self.name}: {exc}") from exc


@dataclass(frozen=True, kw_only=True)
class NamedSettings:
    """Settings to try on every part."""

    name: str
    fit: FitSettings
    export: ExportConfig
    gpus: float


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A part with settings: one fit, one export, one evaluation."""

    part: Part
    setting: NamedSettings

    @property
    def name(self) -> str:
        """The name of the pair, for people."""
        return f"{self.part.name}.{self.setting.name}"

    @cached_property
    def key(self) -> str:
        """The SHA-256 of all that the cell is made from.

        Raises:
            EdgeADError: the part's images cannot be had.
        """
        fit = self.setting.fit.resolved()
        weights = Path(getattr(fit, "weights", ""))
        own = hash_file(weights).sha256 if weights.is_file() else ""
        parts = [
            *self.part.contents, fit.method, strict.dumps(fit),
            repr(self.setting.export), own, *map(str, versions().items()),
        ]  # fmt: skip
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def read_plan(path: Path) -> list[Cell]:
    """The cells of a file, part by part.

    Raises:
        ConfigError: the file cannot be read, or says what cannot work. Folders are not looked at.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as exc:
        raise ConfigError(f"{path}: cannot be read: {exc}") from exc
    try:
        _only(content, {"defaults", "part", "setting"}, "the file")
        here = path.resolve().parent
        parts = [_part(table, here) for table in _tables(content, "part")]
        defaults = content.get("defaults", {})
        settings = [_setting(table, defaults, here) for table in _tables(content, "setting")]
        _refuse_repeats("part", [part.name for part in parts])
        _refuse_repeats("setting", [setting.name for setting in settings])
    except EdgeADError as exc:
        raise ConfigError(f"{path}: {exc}") from exc
    return [Cell(part=part, setting=setting) for part in parts for setting in settings]


def _part(table: Mapping[str, Any], here: Path) -> Part:
    name = _named(table, "part")
    _only(table, {"name", "good", "test"}, f"part {name}")
    if not isinstance(table.get("good"), str):
        raise ConfigError(f"part {name}: good is missing; it is the folder of good images")
    test = table.get("test")
    return Part(name=name, good=here / table["good"], test=None if test is None else here / test)


def _setting(table: Mapping[str, Any], defaults: Mapping[str, Any], here: Path) -> NamedSettings:
    name = _named(table, "setting")
    values = {**defaults, **table}
    own = {key: values.pop(key, None) for key in ("name", "method", "export", "gpus")}
    if (weights := values.get("weights")) and (here / str(weights)).is_file():
        values["weights"] = str(here / weights)
    gpus = own["gpus"] or 0
    if not isinstance(gpus, int | float) or gpus < 0:
        raise ConfigError(f"setting {name}: gpus is {gpus!r}; it must be a number, 0 or more")
    cls = settings_class(own["method"] or _DEFAULT_METHOD)
    try:
        return NamedSettings(
            name=name,
            fit=_made(cls, values),
            export=_made(ExportConfig, own["export"] or {}),
            gpus=float(gpus),
        )
    except EdgeADError as exc:
        raise ConfigError(f"setting {name}: {exc}") from exc


def _made(cls: Any, values: Mapping[str, Any]) -> Any:
    known: dict[str, Setting] = {each.name: each for each in settings_of(cls)}
    _only(values, known.keys(), f"the settings of {getattr(cls, 'method', 'export')}")
    return cls(**{name: _value(known[name], value) for name, value in values.items()})


def _value(known: Setting, value: Any) -> Any:
    """A value of the file as the settings want it: as it would be typed, if it is not yet so."""
    if known.spelling is not None and isinstance(value, int | str):
        try:
            return known.spelling.parse(str(value))
        except ValueError as exc:
            raise ConfigError(f"{known.name}: {exc}") from exc
    if known.kind is Path and isinstance(value, str):
        return Path(value)
    return tuple(value) if isinstance(value, list) else value


def _tables(content: Mapping[str, Any], key: str) -> Sequence[Mapping[str, Any]]:
    tables = content.get(key)
    if not isinstance(tables, list) or not tables:
        raise ConfigError(f"holds no [[{key}]]; at least one is needed")
    return tables


def _named(table: Mapping[str, Any], kind: str) -> str:
    name = table.get("name")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ConfigError(
            f"{kind}: name is {name!r}; it must be of letters, digits, - and _, 64 at most"
        )
    return name


def _only(table: Mapping[str, Any], known: Any, where: str) -> None:
    if unknown := sorted(table.keys() - set(known)):
        raise ConfigError(f"{where}: unknown key {unknown[0]!r}; known are {', '.join(known)}")


def _refuse_repeats(kind: str, names: Sequence[str]) -> None:
    if repeated := [name for name in names if names.count(name) > 1]:
        raise ConfigError(f"two of the {kind}s are named {repeated[0]!r}")


def _below(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]
