"""`Stations`: all parts of a line by their names, and how they change when it is reloaded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from edge_ad_line.cameras import Frame
from edge_ad_line.config import LineConfig, PartConfig
from edge_ad_line.live import Live
from edge_ad_line.station import Station, Surroundings
from edge_ad_runtime.errors import ConfigError

_STUCK_S = 60.0
_LOADED = ("engine", "threads")  # settings of a part that its artifact is loaded with


class Stations:
    """The stations of a line.

    Args:
        around: what they share.
        swapped: is told the name of a part and the SHA-256 of the artifact that judges it now.
    """

    def __init__(self, around: Surroundings, swapped: Callable[[str, str], None]) -> None:
        self._around, self._swapped = around, swapped
        self._stations: dict[str, Station] = {}

    @property
    def by_name(self) -> Mapping[str, Station]:
        """All of them."""
        return MappingProxyType(self._stations)

    def named(self, part: str) -> Station:
        """One of them.

        Raises:
            ConfigError: there is no such part.
        """
        try:
            return self._stations[part]
        except KeyError:
            known = ", ".join(sorted(self._stations))
            raise ConfigError(f"there is no part {part!r}; there are: {known}") from None

    def add(self, part: PartConfig, config: LineConfig, live: Live) -> Station:
        """Make the station of a part, in the place of the one that it has."""
        mode = None if part.camera is None else config.camera_named(part.camera).mode
        station = Station(part, live, self._around, mode)
        self._stations[part.name] = station
        self._around.metrics.expect(part.name)
        return station

    def start(self) -> None:
        """Let all begin to judge."""
        for station in self._stations.values():
            station.start()

    def drain(self) -> None:
        """Let all finish what waits."""
        for station in self._stations.values():
            station.drain()

    def offer(self, camera: str, frame: Frame, wait: bool) -> None:
        """Give a camera's frame to all that it is for."""
        for station in list(self._stations.values()):
            if station.camera == camera:
                station.offer(frame, wait=wait)

    def recent_image(self, result_id: str) -> tuple[bytes, str] | None:
        """The image of one of the last results of a part with its media type, or None."""
        for station in list(self._stations.values()):
            if (found := station.recent_image(result_id)) is not None:
                return found
        return None

    def make_progress(self) -> bool:
        """Whether no image is in hand for so long that scoring must hang."""
        stations = list(self._stations.values())
        return all(part.is_alive and part.stuck_s < _STUCK_S for part in stations)

    def save_drift(self) -> None:
        """Write down what is known of each part's drift."""
        for station in list(self._stations.values()):
            station.drift.save()

    def loaded(self, part: PartConfig) -> Live | None:
        """What judges a part, if it was loaded with the same settings."""
        station = self._stations.get(part.name)
        if station is None:
            return None
        is_same = all(getattr(station.config, n) == getattr(part, n) for n in _LOADED)
        return station.live if is_same else None

    def reload(self, before: LineConfig, config: LineConfig, lives: Mapping[str, Live]) -> None:
        """Make them those of another configuration. A part that has not changed goes on.

        Args:
            before: the configuration that they have.
            config: the other one.
            lives: what is to judge each part of it.
        """
        known = {part.name: part for part in before.part}
        modes = {camera.name: camera.mode for camera in before.camera}
        for part in config.part:
            live, old = lives[part.name], self._stations.get(part.name)
            same_mode = part.camera is None or (
                modes.get(part.camera) == config.camera_named(part.camera).mode
            )
            if old is not None and known[part.name] == part and same_mode:
                if old.live.sha256 != live.sha256:
                    old.swap(live)
                    self._swapped(part.name, live.sha256)
                continue
            self.add(part, config, live).start()
            if old is not None:
                old.drain()
        for name in [name for name in self._stations if name not in lives]:
            self._stations.pop(name).drain()
