"""`CameraReaders`: the readers of all cameras, which follow the settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from edge_ad_line.cameras import make_camera
from edge_ad_line.cameras.camera import Camera, Frame
from edge_ad_line.cameras.reader import CameraReader, CameraState
from edge_ad_line.config import CameraConfig, FolderCamera, HttpCamera


class CameraReaders:
    """A reader for each camera of the settings.

    Args:
        has_result: whether a source of a camera has a result already.
        offer: gets the name of the camera, the frame, and whether that can wait.
        changed: is told the state of a camera that is lost or back.
    """

    def __init__(
        self,
        has_result: Callable[[str, str], bool],
        offer: Callable[[str, Frame, bool], None],
        changed: Callable[[CameraState], None],
    ) -> None:
        self._has_result, self._offer, self._changed = has_result, offer, changed
        self._readers: dict[str, CameraReader] = {}
        self._configs: dict[str, CameraConfig] = {}
        self._is_started = False

    def take(self, configs: Sequence[CameraConfig]) -> None:
        """Let cameras go whose settings have changed or are gone, and make the new ones."""
        wanted = {config.name: config for config in configs}
        for name in [name for name, known in self._configs.items() if wanted.get(name) != known]:
            del self._configs[name]
            self._readers.pop(name).stop()
        for name, config in wanted.items():
            if name not in self._readers:
                self._configs[name], self._readers[name] = config, self._reader(config)
                if self._is_started:
                    self._readers[name].start()

    def start(self) -> None:
        """Begin to read."""
        self._is_started = True
        for reader in self._readers.values():
            reader.start()

    def stop(self) -> None:
        """Take no more pictures."""
        for reader in self._readers.values():
            reader.stop()

    def want(self, name: str) -> None:
        """Ask a camera for a picture now, if it gives one when it is asked."""
        self._readers[name].want()

    def are_up(self) -> bool:
        """Whether every camera is."""
        return all(reader.state().is_up for reader in list(self._readers.values()))

    def to_record(self, faults: Mapping[str | None, str | None]) -> dict[str, Any]:
        """JSON of every camera, by name.

        Args:
            faults: why a camera's last picture could not be judged, by the camera's name.
        """
        return {
            name: {**reader.state().to_record(), "fault": faults.get(name)}
            for name, reader in list(self._readers.items())
        }

    def _reader(self, config: CameraConfig) -> CameraReader:
        camera = make_camera(config, partial(self._has_result, config.name))
        return CameraReader(
            config.name,
            camera,
            partial(self._deliver, config.name, camera),
            self._changed,
            frozen_after=0 if isinstance(config, FolderCamera) else config.frozen_after,
            grabs_on_request=isinstance(config, HttpCamera) and config.mode == "on-request",
        )

    def _deliver(self, name: str, camera: Camera, frame: Frame) -> None:
        self._offer(name, frame, camera.waits)
