"""`Line`: cameras in, verdicts out. All that the web pages and ``edge-ad serve`` need."""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from edge_ad_line.alarms import Alarms
from edge_ad_line.cameras.reader import CameraState
from edge_ad_line.cameras.readers import CameraReaders
from edge_ad_line.config import LineConfig
from edge_ad_line.events import Events
from edge_ad_line.image_writer import ImageWriter
from edge_ad_line.inspection import interrupted
from edge_ad_line.metrics import Metrics
from edge_ad_line.result import Result, new_id, utc_text
from edge_ad_line.sinks.dispatchers import Dispatchers
from edge_ad_line.station import Station, Surroundings
from edge_ad_line.stations import Stations
from edge_ad_line.status import part_record, state_of
from edge_ad_line.store import Store
from edge_ad_line.swap import Swaps
from edge_ad_runtime import __version__
from edge_ad_runtime.errors import ConfigError, EdgeADError

_LOG = logging.getLogger(__name__)
_TIDY_EVERY_S = 10.0
_DRAIN_S = 10.0


class Line:
    """A line that scores. It is opened, started, drained and closed, in this order.

    Attributes:
        config: what it was opened or last reloaded with.
        store: results, images, messages, reviews, the audit trail.
        metrics: the Prometheus registry and what is counted in it.
        events: what happens, for whoever listens.
        processor: held while an image is judged, so that one image gets all cores.
    """

    def __init__(self, config: LineConfig, store: Store) -> None:
        """Use `open`."""
        self.config, self.store = config, store
        self.metrics, self.events = Metrics(), Events()
        self.processor = threading.Lock()
        self._alarms = Alarms(self.events, store)
        self._swaps = Swaps(store)
        self._images = ImageWriter(store, config.store.keep)
        around = Surroundings(
            store=store,
            images=self._images,
            events=self.events,
            metrics=self.metrics,
            processor=self.processor,
            unstored=self._send_unstored,
            drifted=self._drifted,
        )
        self._stations = Stations(around, partial(self._swapped, how="promoted"))
        self._cameras = CameraReaders(store.has_source, self._stations.offer, self._camera_changed)
        self._sinks = Dispatchers(
            store.outbox, config.device, self._health_record, self._sink_changed
        )
        self._is_started = self._is_stopping = False
        self._reloading = threading.Lock()
        self._stopped = threading.Event()
        self._tidier = threading.Thread(target=self._tidy, name="tidy", daemon=True)

    @classmethod
    def open(cls, config: LineConfig) -> Line:
        """Open the store, verify every part's artifact, and make cameras and sinks.

        Raises:
            EdgeADError: an artifact is refused, or something cannot be opened.
        """
        line = cls(config, Store(config.device.data, config.store))
        try:
            for part in config.part:
                beginning = line._swaps.begin(part)
                beginning.settle()
                line._stations.add(part, config, beginning.live)
            line._cameras.take(config.camera)
            line._sinks.take(config.sink)
            line._swaps.forget([part.name for part in config.part])
            line._tell_interrupted()
        except BaseException:
            line.store.close()
            raise
        line.metrics.watch(line.status)
        return line

    @property
    def parts(self) -> Mapping[str, Station]:
        """The stations by the name of their part."""
        return self._stations.by_name

    def start(self) -> None:
        """Start scoring: sinks, then cameras."""
        self._is_started = True
        self._images.start()
        self._tidier.start()
        self._sinks.start()
        self._stations.start()
        self._cameras.start()
        self._tell_status()

    def drain(self) -> None:
        """Take no more images, finish those that wait, and let the sinks send what they can."""
        self._is_stopping = True
        self._tell_status()
        self._cameras.stop()
        self._stations.drain()
        self._images.close()
        self._sinks.drain(_DRAIN_S)

    def close(self) -> None:
        """Give back everything. A line that was not drained loses nothing that it has answered."""
        self._is_stopping = True
        self._stopped.set()
        self.events.close()
        if self._tidier.is_alive():
            self._tidier.join()
        self.store.close()

    # -- scoring -------------------------------------------------------------------------------

    def score(
        self,
        part: str,
        image: bytes | NDArray[np.uint8],
        *,
        part_id: str | None = None,
        idempotency_key: str | None = None,
    ) -> Result:
        """Score an image, and store the result before it is given.

        An image that cannot be judged is a result with the verdict ``error``.

        Args:
            part: the name of the part.
            image: the bytes of an image file, or ``(H, W, 3)`` uint8, RGB.
            part_id: the name of this very part.
            idempotency_key: a key that had a result already gets the same one again.

        Raises:
            ConfigError: there is no such part.
            EdgeADError: the line is stopping.
        """
        station = self._station(part)
        if idempotency_key is not None:
            before = self.store.with_key(part, idempotency_key)
            if before is not None:
                return Result.of_record(before)
        encoded = image if isinstance(image, bytes) else None
        pixels = None if isinstance(image, bytes) else image
        return station.score(encoded, pixels, part_id=part_id, key=idempotency_key)

    def trigger(self, part: str, *, part_id: str | None = None) -> Result:
        """Score the next frame of the part's camera. Without one in time it is ``error: camera``.

        Raises:
            ConfigError: there is no such part, it has no camera, or the camera is triggered by
                other means.
            EdgeADError: the line is stopping.
        """
        station = self._station(part)
        if station.camera is None:
            raise ConfigError(f"part {part} has no camera; send an image to be scored")
        if self.config.camera_named(station.camera).mode == "triggered":
            raise ConfigError(
                f"camera {station.camera} is triggered by itself; with the mode on-request or "
                "free-running it can be asked"
            )
        return station.trigger(part_id, partial(self._cameras.want, station.camera))

    def image(self, result_id: str) -> tuple[bytes, str] | None:
        """The image of a result with its media type, or None if it is not there any more.

        Those of the last two results of each part are, whether they are kept or not.
        """
        return self._stations.recent_image(result_id) or self.store.image(result_id)

    # -- how it is -----------------------------------------------------------------------------

    def status(self) -> dict[str, Any]:
        """JSON: state, version, parts, cameras, sinks, store."""
        stations = list(self.parts.values())
        cameras = self._cameras.to_record({part.camera: part.fault for part in stations})
        sinks = self._sinks.to_record(self.store.memory.operated_s)
        store = self.store.status()
        return {
            "state": state_of(
                is_started=self._is_started,
                is_stopping=self._is_stopping,
                cameras=cameras,
                sinks=sinks,
                store=store,
            ),
            "version": __version__,
            "site": self.config.device.site,
            "device": self.config.device.name,
            "parts": {
                part.name: part_record(part, self._swaps.before(part.name)) for part in stations
            },
            "cameras": cameras,
            "sinks": sinks,
            "store": store,
        }

    def is_ready(self) -> bool:
        """Whether every part is verified and its camera is up."""
        return (
            self._is_started
            and not self._is_stopping
            and self.makes_progress()
            and self._cameras.are_up()
        )

    def makes_progress(self) -> bool:
        """Whether no image is in hand for so long that scoring must hang."""
        return self._stations.make_progress()

    # -- artifacts and people ------------------------------------------------------------------

    def upload(self, part: str, archive: Path, *, user: str) -> str:
        """Stage an artifact: check it, keep it under its hash, verify it beside the live one.

        Returns:
            The SHA-256 in its manifest, for `promote`.

        Raises:
            ArtifactError: it is refused. The live one goes on.
        """
        station = self._station(part)
        try:
            sha256 = self._swaps.stage(station.config, archive, user=user)
        except EdgeADError as exc:
            self._refused(part, str(exc))
            raise
        self.events.publish("artifact", {"part": part, "sha256": sha256, "state": "staged"})
        return sha256

    def promote(self, part: str, sha256: str, *, user: str, reason: str) -> None:
        """Let a staged artifact judge from the next image on.

        Raises:
            ArtifactError: it is not there, or not verified. The live one goes on.
        """
        station = self._station(part)
        try:
            self._swaps.promote(station.config, sha256, station.swap, user=user, reason=reason)
        except EdgeADError as exc:
            self._refused(part, str(exc))
            raise
        self._swapped(part, sha256, "promoted")

    def roll_back(self, part: str, *, user: str, reason: str) -> None:
        """Let the artifact before the live one judge again.

        Raises:
            ArtifactError: there is none before it.
        """
        station = self._station(part)
        sha256 = self._swaps.roll_back(station.config, station.swap, user=user, reason=reason)
        self._swapped(part, sha256, "rolled-back")

    def review(
        self, result_id: str, label: Literal["good", "defect"], *, user: str, reason: str
    ) -> None:
        """Write down what a person says of a result. Its image is kept for good.

        Raises:
            ConfigError: there is no such result.
        """
        self.store.journal.review(result_id, label, user=user, reason=reason)
        self.events.publish("review", {"id": result_id, "label": label, "user": user})

    def reload(self, config: LineConfig) -> None:
        """Take another configuration, all of it or nothing.

        Raises:
            EdgeADError: it cannot work. Everything is as it was.
        """
        with self._reloading:
            self._require_same_house(config)
            beginnings = {
                part.name: self._swaps.begin(part, now=self._stations.loaded(part), must=True)
                for part in config.part
            }
            self._sinks.take(config.sink)  # the last that can fail
            for beginning in beginnings.values():
                beginning.settle()
            lives = {name: beginning.live for name, beginning in beginnings.items()}
            before, self.config = self.config, config
            self._stations.reload(before, config, lives)
            self._cameras.take(config.camera)
            self._images.keep = config.store.keep
            self.store.keep(config.store)
            self.store.journal.note(user="SIGHUP", action="reload", object="line.toml")
            self._tell_status()

    def _require_same_house(self, config: LineConfig) -> None:
        for name in ("device", "web"):
            if getattr(config, name) != getattr(self.config, name):
                raise ConfigError(f"[{name}] has changed, which takes a restart")
        same = (config.store.reserve_bytes, config.store.budget_bytes, config.store.most_results)
        mine = self.config.store
        if same != (mine.reserve_bytes, mine.budget_bytes, mine.most_results):
            raise ConfigError("[store] has changed, which takes a restart; [store.keep] does not")

    # -- what happens --------------------------------------------------------------------------

    def _station(self, part: str) -> Station:
        if self._is_stopping:
            raise EdgeADError("the line is stopping; ask again when it is back")
        return self._stations.named(part)

    def _send_unstored(self, result: Result) -> None:
        self._sinks.send_unstored(result.to_record())
        self._alarms.sound_at_times(
            "store", "the disk takes no results; they are told and not stored"
        )

    def _drifted(self, part: str) -> None:
        self.metrics.drifted(part)
        self._alarms.sound(
            "drift",
            f"part {part}: scores are not what they were; look at light, lens and the parts",
            part=part,
        )

    def _camera_changed(self, state: CameraState) -> None:
        if state.is_up:
            _LOG.info("camera %s is up", state.name)
        else:
            self._alarms.sound("camera", f"camera {state.name} is lost: {state.error}")
        self._tell_status()

    def _sink_changed(self, name: str, is_up: bool, error: str) -> None:
        if error:
            _LOG.warning("sink %s: %s", name, error)
        else:
            _LOG.info("sink %s is up", name)
        self._tell_status()

    def _swapped(self, part: str, sha256: str, how: str) -> None:
        self.metrics.swapped(part, how)
        self.events.publish("artifact", {"part": part, "sha256": sha256, "state": "live"})
        self._swaps.forget(list(self.parts))

    def _refused(self, part: str, error: str) -> None:
        self.metrics.swapped(part, "refused")
        self._alarms.sound("artifact", f"part {part}: an artifact was refused: {error}", part=part)

    def _tell_status(self) -> None:
        with suppress(sqlite3.Error):
            self.events.publish("status", self.status())

    def _tell_interrupted(self) -> None:
        """Give a result to each image that was in hand when the device stopped."""
        for note in self.store.in_hand():
            result = self.store.add(interrupted(note))
            self.metrics.judged(result, deadline_ms=1)

    def _tidy(self) -> None:
        while not self._stopped.wait(_TIDY_EVERY_S):
            try:
                self.store.tidy()
                self._stations.save_drift()
            except (OSError, sqlite3.Error) as exc:
                _LOG.warning("the store cannot be tidied: %s", exc)

    # -- records -------------------------------------------------------------------------------

    def _health_record(self) -> dict[str, Any]:
        """How the device is, with the head of the audit trail, so that others hold it too."""
        status = self.status()
        return {
            "id": new_id(),
            "time": utc_text(),
            **status,
            "audit": self.store.journal.audit_head(),
        }
