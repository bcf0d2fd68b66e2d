"""``line.toml``: what a line is made of. Every key is checked, and an unknown one is refused.

Paths are relative to the file's own folder. A ``[[part]]`` is one artifact and the camera that sees
the part, if any. Parts without a camera are scored over HTTP.
"""

from __future__ import annotations

import dataclasses
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from edge_ad_runtime.artifact import strict
from edge_ad_runtime.artifact.bounds import AtMost, Between, Matching
from edge_ad_runtime.artifact.strict import optional
from edge_ad_runtime.artifact.words import EngineChoice
from edge_ad_runtime.errors import ConfigError
from edge_ad_runtime.regular_file import read_regular

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Name = Annotated[
    str,
    Matching("[A-Za-z0-9][A-Za-z0-9_-]{0,49}", "1 to 50 letters, digits, _ and -, no sign first"),
]
Text = Annotated[str, AtMost(1000)]
Count = Annotated[int, Between(1, 10**9)]
Bytes = Annotated[int, Between(0, 10**15)]
Milliseconds = Annotated[int, Between(1, 3_600_000)]
Mode = Literal["free-running", "triggered", "on-request"]

_MOST_BYTES = 1_000_000
C = TypeVar("C")


def _path(**given: Any) -> Any:
    """The declaration of a path. It becomes absolute when the file is read."""
    optional_too = {"optional": True} if given else {}
    return dataclasses.field(**given, metadata={"path": True, **optional_too})


@dataclass(frozen=True, kw_only=True)
class DeviceConfig:
    """``[device]``: which device this is, and where it keeps what it knows.

    Attributes:
        site: the plant, for topics and events.
        name: the device.
        data: the folder of the store: results, images, artifacts.
    """

    site: Name
    name: Name
    data: str = _path()


@dataclass(frozen=True, kw_only=True)
class PartConfig:
    """``[[part]]``: a kind of part, the artifact that judges it, and the camera that sees it.

    Attributes:
        name: the part's name, as in ``/v1/parts/NAME``.
        artifact: the ``.edgead`` folder or packed file to begin with. The store keeps its own copy.
        camera: the name of a ``[[camera]]``, or None if images come over HTTP alone.
        deadline_ms: the longest that a verdict may take from the image to the result. Later ones
            are counted, and a trigger without an image by then is an error.
        queue: how many images may wait. One more is a result with the reason ``overrun``.
        check_camera: whether pictures are held against the good images' own brightness, sharpness
            and place before they are judged.
        engine: the engine that runs the network, see ``edge-ad score --engine``.
        threads: the CPU threads of the network, or None for what ``edge-ad tune`` found.
    """

    name: Name
    artifact: str = _path()
    camera: Name | None = optional()
    deadline_ms: Milliseconds = optional(2000)
    queue: Annotated[int, Between(1, 1000)] = optional(8)
    check_camera: bool = optional(True)
    engine: EngineChoice = optional("auto")
    threads: Annotated[int, Between(1, 1024)] | None = optional()


@dataclass(frozen=True, kw_only=True)
class FolderCamera:
    """A folder that a camera's own software writes into. Each file is a part.

    Attributes:
        kind: ``folder``.
        name: the camera's name.
        folder: the folder, without its subfolders.
        mode: how frames become inspections.
        every_ms: between two looks. A file that is the same in both is complete.
        existing: whether files that were there first are scored. Those that have a result are not.
        delete: whether a file is removed after its result and its image are stored.
    """

    kind: Literal["folder"]
    name: Name
    folder: str = _path()
    mode: Mode = optional("triggered")
    every_ms: Milliseconds = optional(200)
    existing: bool = optional(True)
    delete: bool = optional(False)


@dataclass(frozen=True, kw_only=True)
class HttpCamera:
    """A camera that gives a picture for each HTTP request.

    Attributes:
        kind: ``http``.
        name: the camera's name.
        url: the address of the snapshot.
        mode: how frames become inspections.
        every_ms: between two pictures of a free-running camera.
        timeout_ms: how long a picture may take.
        frozen_after: so many equal pictures in a row are a frozen camera. 0 never says so.
    """

    kind: Literal["http"]
    name: Name
    url: Annotated[str, AtMost(1000), Matching("https?://.+", "an http or https address")]
    mode: Mode = optional("on-request")
    every_ms: Milliseconds = optional(500)
    timeout_ms: Milliseconds = optional(2000)
    frozen_after: Annotated[int, Between(0, 1000)] = optional(3)


@dataclass(frozen=True, kw_only=True)
class StreamCamera:
    """A stream that OpenCV opens: MJPEG over HTTP, RTSP, or a V4L2 device.

    Attributes:
        kind: ``stream``.
        name: the camera's name.
        source: ``rtsp://...``, ``http://...`` or ``/dev/video0``.
        mode: how frames become inspections.
        timeout_ms: without a frame for so long, the camera is lost and opened again.
        width: the width to ask a V4L2 device for, in pixels.
        height: the height to ask it for.
        frozen_after: see `HttpCamera`.
    """

    kind: Literal["stream"]
    name: Name
    source: Annotated[
        str, AtMost(1000), Matching("(rtsps?|https?)://.+|/dev/.+", "an address or a device")
    ]
    mode: Mode = optional("free-running")
    timeout_ms: Milliseconds = optional(2000)
    width: Count | None = optional()
    height: Count | None = optional()
    frozen_after: Annotated[int, Between(0, 1000)] = optional(3)


@dataclass(frozen=True, kw_only=True)
class AravisCamera:
    """A GigE Vision or USB3 Vision camera, through the Aravis library of the system.

    Attributes:
        kind: ``aravis``.
        name: the camera's name.
        device: its identifier, such as ``Basler-21876543``, or its address. None takes the first.
        mode: how frames become inspections. ``triggered`` sets the camera's trigger to `line`, and
            ``on-request`` to its software trigger.
        line: the trigger's source, such as ``Line1``.
        pixels: the pixel format to ask for.
        exposure_us: the exposure to set, in microseconds. None leaves the camera's own.
        timeout_ms: without a frame for so long, a free-running camera is lost and opened again.
        frozen_after: see `HttpCamera`.
    """

    kind: Literal["aravis"]
    name: Name
    device: Text | None = optional()
    mode: Mode = optional("free-running")
    line: Name = optional("Line1")
    pixels: Literal["Mono8", "RGB8", "BGR8", "BayerRG8", "BayerGB8", "BayerGR8", "BayerBG8"] = (
        optional("Mono8")
    )
    exposure_us: Annotated[float, Between(1, 10**8)] | None = optional()
    timeout_ms: Milliseconds = optional(2000)
    frozen_after: Annotated[int, Between(0, 1000)] = optional(3)


CameraConfig = FolderCamera | HttpCamera | StreamCamera | AravisCamera


@dataclass(frozen=True, kw_only=True)
class MqttSink:
    """Verdicts to a broker: QoS 1 each, and a retained status with a will.

    Attributes:
        kind: ``mqtt``.
        name: the sink's name.
        host: the broker.
        port: its port, 1883 or, with TLS, usually 8883.
        username: the user, if the broker asks for one.
        password_file: a file that holds the password alone.
        tls: whether to speak TLS.
        ca_file: the certificates to trust, PEM. None trusts those of the system.
        certificate_file: this device's own certificate, PEM.
        key_file: its key, PEM.
        keepalive_s: the broker tells the will after one and a half of these.
        most_messages: so many may wait. Then the oldest good verdict is dropped, and counted.
        most_per_second: how fast what has waited is sent.
    """

    kind: Literal["mqtt"]
    name: Name
    host: Text
    port: Annotated[int, Between(1, 65535)] = optional(1883)
    username: Text | None = optional()
    password_file: str | None = _path(default=None)
    tls: bool = optional(False)
    ca_file: str | None = _path(default=None)
    certificate_file: str | None = _path(default=None)
    key_file: str | None = _path(default=None)
    keepalive_s: Annotated[int, Between(1, 3600)] = optional(10)
    most_messages: Count = optional(1_000_000)
    most_per_second: Annotated[float, Between(0.1, 10_000)] = optional(100.0)


@dataclass(frozen=True, kw_only=True)
class WebhookSink:
    """Verdicts to an HTTP server, one POST each, repeated until it says 2xx.

    Attributes:
        kind: ``webhook``.
        name: the sink's name.
        url: where to post.
        token_file: a file that holds the bearer token alone.
        timeout_ms: how long a request may take.
        most_messages: see `MqttSink`.
        most_per_second: see `MqttSink`.
    """

    kind: Literal["webhook"]
    name: Name
    url: Annotated[str, AtMost(1000), Matching("https?://.+", "an http or https address")]
    token_file: str | None = _path(default=None)
    timeout_ms: Milliseconds = optional(5000)
    most_messages: Count = optional(1_000_000)
    most_per_second: Annotated[float, Between(0.1, 10_000)] = optional(100.0)


@dataclass(frozen=True, kw_only=True)
class JsonLinesSink:
    """Verdicts appended to a file, one JSON record a line.

    Attributes:
        kind: ``json-lines``.
        name: the sink's name.
        file: the file. A log rotation may take it away at any time.
        most_messages: see `MqttSink`.
        most_per_second: see `MqttSink`.
    """

    kind: Literal["json-lines"]
    name: Name
    file: str = _path()
    most_messages: Count = optional(1_000_000)
    most_per_second: Annotated[float, Between(0.1, 10_000)] = optional(10_000.0)


SinkConfig = MqttSink | WebhookSink | JsonLinesSink


@dataclass(frozen=True, kw_only=True)
class Keep:
    """How long images of one class are kept. The first limit that is reached counts.

    Attributes:
        days: days in operation: the time that the device is off does not count, nor does its clock.
        bytes: all images of the class together.
        every: one of so many images is kept.
    """

    days: Annotated[float, Between(0, 36_500)] = optional(90.0)
    bytes: Bytes = optional(2_000_000_000)
    every: Count = optional(1)


@dataclass(frozen=True, kw_only=True)
class KeepConfig:
    """``[store.keep.CLASS]`` for each class of images. `near` are good ones near the threshold."""

    anomalous: Keep = optional(Keep(days=365.0, bytes=5_000_000_000))
    error: Keep = optional(Keep(days=30.0))
    near: Keep = optional(Keep(days=90.0))
    good: Keep = optional(Keep(days=7.0, every=20))


@dataclass(frozen=True, kw_only=True)
class StoreConfig:
    """``[store]``: what the disk may hold.

    Attributes:
        budget_bytes: all images together. Good ones go first.
        reserve_bytes: a file that is deleted when the disk is full, so that results go on.
        most_results: older results than so many are removed.
        keep: the limits of each class.
    """

    budget_bytes: Bytes = optional(10_000_000_000)
    reserve_bytes: Bytes = optional(64 << 20)
    most_results: Annotated[int, Between(100, 10**9)] = optional(10_000_000)
    keep: KeepConfig = optional(KeepConfig())


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
    tokens: str | None = _path(default=None)
    most_body_bytes: Annotated[int, Between(1000, 10**9)] = optional(64_000_000)
    certificate_file: str | None = _path(default=None)
    key_file: str | None = _path(default=None)

    @property
    def host(self) -> str:
        """The host of `listen`, without brackets."""
        return self.listen.rpartition(":")[0].strip("[]")

    @property
    def port(self) -> int:
        """The port of `listen`."""
        return int(self.listen.rpartition(":")[2])


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
