"""`Line`: cameras in, verdicts out. All that the web pages and ``edge-ad serve`` need."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from edge_ad_line.config import LineConfig
from edge_ad_line.events import Events
from edge_ad_line.metrics import Metrics
from edge_ad_line.result import Result
from edge_ad_line.station import Station
from edge_ad_line.store import Store


class Line:
    """A line that scores. It is opened, started, drained and closed, in this order.

    Attributes:
        config: what it was opened or last reloaded with.
        store: results, images, messages, reviews, the audit trail.
        metrics: the Prometheus registry and what is counted in it.
        events: what happens, for whoever listens.
        parts: the stations by the name of their part.
    """

    config: LineConfig
    store: Store
    metrics: Metrics
    events: Events

    @classmethod
    def open(cls, config: LineConfig) -> Line:
        """Open the store, verify every part's artifact, and make cameras and sinks.

        Raises:
            EdgeADError: an artifact is refused, or something cannot be opened.
        """
        raise NotImplementedError

    @property
    def parts(self) -> Mapping[str, Station]:
        """The stations by the name of their part."""
        raise NotImplementedError

    def start(self) -> None:
        """Start scoring: sinks, then cameras."""
        raise NotImplementedError

    def drain(self) -> None:
        """Take no more images, finish those that wait, and let the sinks send what they can."""
        raise NotImplementedError

    def close(self) -> None:
        """Give back everything. A line that was not drained loses nothing that it has answered."""
        raise NotImplementedError

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
        """
        raise NotImplementedError

    def trigger(self, part: str, *, part_id: str | None = None) -> Result:
        """Score the next frame of the part's camera. Without one in time it is ``error: camera``.

        Raises:
            ConfigError: there is no such part, it has no camera, or the camera is triggered by
                other means.
        """
        raise NotImplementedError

    def status(self) -> dict[str, Any]:
        """JSON: state, version, parts, cameras, sinks, store."""
        raise NotImplementedError

    def is_ready(self) -> bool:
        """Whether every part is verified and its camera is up."""
        raise NotImplementedError

    def upload(self, part: str, archive: Path, *, user: str) -> str:
        """Stage an artifact: check it, keep it under its hash, verify it beside the live one.

        Returns:
            The SHA-256 in its manifest, for `promote`.

        Raises:
            ArtifactError: it is refused. The live one goes on.
        """
        raise NotImplementedError

    def promote(self, part: str, sha256: str, *, user: str, reason: str) -> None:
        """Let a staged artifact judge from the next image on.

        Raises:
            ArtifactError: it is not there, or not verified. The live one goes on.
        """
        raise NotImplementedError

    def roll_back(self, part: str, *, user: str, reason: str) -> None:
        """Let the artifact before the live one judge again.

        Raises:
            ArtifactError: there is none before it.
        """
        raise NotImplementedError

    def review(
        self, result_id: str, label: Literal["good", "defect"], *, user: str, reason: str
    ) -> None:
        """Write down what a person says of a result. Its image is kept for good.

        Raises:
            ConfigError: there is no such result.
        """
        raise NotImplementedError

    def reload(self, config: LineConfig) -> None:
        """Take another configuration, all of it or nothing.

        Raises:
            EdgeADError: it cannot work. Everything is as it was.
        """
        raise NotImplementedError
