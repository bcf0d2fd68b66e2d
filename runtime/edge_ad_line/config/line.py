"""`LineConfig`: the whole of ``line.toml``, read and checked."""

from __future__ import annotations

import dataclasses
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from edge_ad_line.config.cameras import CameraConfig
from edge_ad_line.config.part import DeviceConfig, PartConfig
from edge_ad_line.config.sinks import SinkConfig
from edge_ad_line.config.store import StoreConfig
from edge_ad_line.config.web import WebConfig
from edge_ad_runtime.artifact import strict
from edge_ad_runtime.artifact.strict import optional
from edge_ad_runtime.errors import ConfigError
from edge_ad_runtime.regular_file import read_regular

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_MOST_BYTES = 1_000_000
C = TypeVar("C")


@dataclass(frozen=True, kw_only=True)
class LineConfig:
    """The whole of ``line.toml``. Lists of tables have the names of their tables: ``part`` is all.

    Attributes:
        device: see `DeviceConfig`.
        part: the parts, one at least.
        camera: the cameras.
        sink: the sinks.
        store: see `StoreConfig`.
        web: see `WebConfig`, or None for no web server.
    """

    device: DeviceConfig
    part: tuple[PartConfig, ...]
    camera: tuple[CameraConfig, ...] = optional(())
    sink: tuple[SinkConfig, ...] = optional(())
    store: StoreConfig = optional(StoreConfig())
    web: WebConfig | None = optional()

    def __post_init__(self) -> None:
        if not self.part:
            raise ValueError("there is no [[part]]; a line has one at least")
        for what, items in (("part", self.part), ("camera", self.camera), ("sink", self.sink)):
            _require_different(what, [item.name for item in items])
        cameras = [part.camera for part in self.part if part.camera is not None]
        known = {camera.name for camera in self.camera}
        for part in self.part:
            if part.camera is not None and part.camera not in known:
                raise ValueError(
                    f"part {part.name!r} has the camera {part.camera!r}, and there is no "
                    f"[[camera]] of that name; there are: {', '.join(sorted(known)) or 'none'}"
                )
        _require_different("camera of a part", cameras)

    @classmethod
    def read(cls, path: Path | str) -> LineConfig:
        """Read ``line.toml``.

        Raises:
            ConfigError: it cannot be read, is not TOML, or a key is unknown, missing or wrong. The
                message names the file and the key.
        """
        path = Path(path)
        try:
            text = read_regular(path, most_bytes=_MOST_BYTES).decode("utf-8")
            config = strict.parse(cls, tomllib.loads(text))
        except OSError as exc:
            raise ConfigError(f"{path}: cannot be read: {exc.strerror}") from exc
        except ValueError as exc:  # TOMLDecodeError and UnicodeDecodeError are ValueErrors
            raise ConfigError(f"{path}: {exc}") from exc
        return _rooted(config, path.absolute().parent)

    def camera_named(self, name: str) -> CameraConfig:
        """The camera of that name, which is there."""
        return next(camera for camera in self.camera if camera.name == name)


def _require_different(what: str, names: list[str]) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"{what} {twice[0]!r} is named twice; each must be named once")


def _rooted(value: C, folder: Path) -> C:
    """The same settings with paths that are absolute."""
    if isinstance(value, tuple):
        rooted: Any = tuple(_rooted(item, folder) for item in value)
        return rooted  # type: ignore[no-any-return]
    if not dataclasses.is_dataclass(value):
        return value
    changes = {}
    for field in dataclasses.fields(value):
        found = getattr(value, field.name)
        is_path = field.metadata.get("path") and found is not None
        changes[field.name] = str(folder / found) if is_path else _rooted(found, folder)
    same: Any = dataclasses.replace(value, **changes)  # type: ignore[type-var]
    return same  # type: ignore[no-any-return]
