"""``edge-ad serve --check``: try all that a line needs, and say of each what was found."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from edge_ad_line.artifacts import Artifacts
from edge_ad_line.camera_health import fault_of, look_at
from edge_ad_line.cameras import make_camera
from edge_ad_line.config import CameraConfig, LineConfig, PartConfig, SinkConfig, WebConfig
from edge_ad_line.live import Live, load_verified
from edge_ad_line.sinks import make_sink
from edge_ad_line.web.access import Access
from edge_ad_line.web_server import listening
from edge_ad_runtime.errors import ConfigError, EdgeADError

_PICTURE_S = 5.0


@dataclass(frozen=True, kw_only=True)
class Check:
    """What was found of one thing.

    Attributes:
        what: the thing, such as ``camera top``.
        ok: whether it can work.
        found: what was found, or what is wrong.
    """

    what: str
    ok: bool
    found: str


def check_line(config: LineConfig) -> Iterator[Check]:
    """Try the data folder, every artifact, camera and sink, and the port. Nothing is kept."""
    yield _checked("data", partial(_check_data, Path(config.device.data)))
    lives: dict[str, Live] = {}
    for part in config.part:
        yield _checked(f"part {part.name}", partial(_check_part, part, lives))
    by_camera = {part.camera: lives.get(part.name) for part in config.part}
    for camera in config.camera:
        live = by_camera.get(camera.name)
        yield _checked(f"camera {camera.name}", partial(_check_camera, camera, live))
    for sink in config.sink:
        yield _checked(f"sink {sink.name}", partial(_check_sink, sink, config))
    if (web := config.web) is not None:
        yield _checked("web", partial(_check_web, web))


def _checked(what: str, check: Callable[[], str]) -> Check:
    try:
        return Check(what=what, ok=True, found=check())
    except EdgeADError as exc:
        return Check(what=what, ok=False, found=str(exc))


def _check_data(folder: Path) -> str:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as exc:
        raise ConfigError(f"{folder}: cannot be written: {exc.strerror}") from exc
    return f"{folder} can be written"


def _check_part(config: PartConfig, lives: dict[str, Live]) -> str:
    with tempfile.TemporaryDirectory() as scratch:
        (Path(scratch) / "artifacts").mkdir()
        artifact = Artifacts(Path(scratch)).keep(config.artifact)
        live = lives[config.name] = load_verified(artifact, config)
    threshold = live.detector.manifest.calibration.threshold
    return f"{live.sha256[:12]} verified, threshold {threshold:.4g}"


def _check_camera(config: CameraConfig, live: Live | None) -> str:
    camera = make_camera(config, lambda source: False)
    try:
        camera.open()
        if camera.waits:
            return "the folder can be read"
        if config.mode == "triggered":
            return "opened; a picture comes with its trigger"
        until, frame = time.monotonic() + _PICTURE_S, None
        while frame is None and time.monotonic() < until:
            frame = camera.grab(0.5)
        if frame is None:
            raise ConfigError(f"opened, and gave no picture within {_PICTURE_S:g} s")
        image = frame.image()
    finally:
        camera.close()
    if live is not None and (fault := fault_of(look_at(image), live.limits)) is not None:
        raise ConfigError(f"its picture cannot be judged: {fault[1]}")
    return f"gives pictures of {image.shape[1]} x {image.shape[0]} pixels"


def _check_sink(config: SinkConfig, line: LineConfig) -> str:
    make_sink(config, line.device).check()
    return "takes messages"


def _check_web(config: WebConfig) -> str:
    Access.of(config)
    listening(config).close()
    return f"{config.listen} is free"
