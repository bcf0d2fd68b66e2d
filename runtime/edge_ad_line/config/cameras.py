"""``[[camera]]``: where pictures come from, one class for each ``kind``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from edge_ad_line.config.words import Count, Milliseconds, Mode, Name, Text, path_field
from edge_ad_runtime.artifact.bounds import AtMost, Between, Matching
from edge_ad_runtime.artifact.strict import optional


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
    folder: str = path_field()
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
