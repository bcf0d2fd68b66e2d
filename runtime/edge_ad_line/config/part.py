"""``[device]`` and ``[[part]]``: which device this is, and what it judges."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from edge_ad_line.config.words import Milliseconds, Name, path_field
from edge_ad_runtime.artifact.bounds import Between
from edge_ad_runtime.artifact.strict import optional
from edge_ad_runtime.artifact.words import EngineChoice


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
    data: str = path_field()


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
    artifact: str = path_field()
    camera: Name | None = optional()
    deadline_ms: Milliseconds = optional(2000)
    queue: Annotated[int, Between(1, 1000)] = optional(8)
    check_camera: bool = optional(True)
    engine: EngineChoice = optional("auto")
    threads: Annotated[int, Between(1, 1024)] | None = optional()
