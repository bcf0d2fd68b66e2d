"""`Detector`: an artifact, loaded, giving a score, a verdict and a map for one image at a time."""

from __future__ import annotations

import os
import time
import warnings
from collections import deque
from collections.abc import Generator, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from edge_ad_runtime.artifact.folder import Artifact
from edge_ad_runtime.artifact.manifest import Manifest, Network
from edge_ad_runtime.device.settings import SearchChoice, read_device_settings, saturates_int8
from edge_ad_runtime.engines import Engine, EngineChoice
from edge_ad_runtime.errors import (
    ConfigError,
    EdgeADError,
    EdgeADWarning,
    EngineError,
    ImageError,
)
from edge_ad_runtime.heads.patch_scoring import combine
from edge_ad_runtime.heads.patch_search import Observed, PatchSearch
from edge_ad_runtime.images import RGBImage, read_image

_READ_AHEAD = 2  # images

Verdict = Literal["good", "anomalous"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Prediction:
    """What the detector says of one image.

    Attributes:
        score: raw distance, 0 upwards (of an ensemble: in units of what good images typically
            score); comparable only within one artifact.
        threshold: the artifact's own, in the same unit.
        verdict: ``anomalous`` if score > threshold, else ``good``.
        map: ``(H, W)`` float32 at the network's input size, in the unit of the score; None if it
            was not asked for.
        exact: whether the score is certainly the exact search's, whatever an index missed.
        scanned: patches that were compared with the whole bank; all of them in an exact search.
        bound: the largest patch distance, in the unit of the score, among those that were not: the
            score is exact because the largest distance among the scanned is no smaller.
        timings_ms: milliseconds per stage: decode, preprocess, network, search, postprocess, total.
    """

    score: float
    threshold: float
    verdict: Verdict
    map: NDArray[np.float32] | None
    exact: bool
    scanned: int
    bound: float
    timings_ms: dict[str, float]


def verdict_of(score: float, threshold: float) -> Verdict:
    """The one place where a score becomes a verdict; a score that is not a number never does."""
    if not np.isfinite(score):
        raise EdgeADError(f"the score is {score}; the image cannot be judged")
    return "anomalous" if score > threshold else "good"


class Detector:
    """Scores images with a loaded artifact. Holds no mutable state: use it from several threads.

    >>> from edge_ad_runtime import Detector                          # doctest: +SKIP
    >>> Detector.load("line3.edgead").predict("part.png").verdict     # doctest: +SKIP
    'good'

    Attributes:
        artifact: the folder and its manifest.
        members: the loaded networks with their banks: one, or those of an ensemble.
        threads: CPU threads of the networks and the HNSW search; None: all cores.
    """

    def __init__(
        self, artifact: Artifact, members: Sequence[PatchSearch], threads: int | None = None
    ) -> None:
        self.artifact = artifact
        self.members = tuple(members)
        self.threads = threads
        self._process = os.getpid()

    @classmethod
    def load(
        cls,
        path: Path | str,
        engine: EngineChoice = "auto",
        threads: int | None = None,
        search: SearchChoice | Literal["auto"] = "auto",
    ) -> Detector:
        """Load an artifact and run it once, so that the first image is as fast as the next.

        Args:
            path: the ``.edgead`` folder.
            engine: a name of `edge_ad_runtime.engines.ENGINES`; ``auto``: the one that the
                artifact was exported for.
            threads: CPU threads of the network and the HNSW search; None: what ``edge-ad tune``
                has found best, else all cores. (The exact search's matrix product follows
                ``OPENBLAS_NUM_THREADS``.)
            search: ``artifact``: the artifact's; ``exact``; ``auto``: what ``edge-ad tune`` has
                found best, else the artifact's. The score is the same.

        Raises:
            ArtifactError: missing, damaged, inconsistent or too new.
            EngineError: the engine is not installed or refuses the graph.
        """
        if threads is not None and threads < 1:
            raise ConfigError(f"threads is {threads}; it must be at least 1")
        artifact = Artifact.open(path)
        engine = artifact.manifest.engine if engine == "auto" else engine
        tuned = read_device_settings(artifact) if search == "auto" else None
        if tuned is not None:
            search, threads = tuned.search, threads or tuned.threads
        members = [
            PatchSearch.load(
                artifact, member, engine=engine, threads=threads, exact=search == "exact"
            )
            for member in artifact.manifest.members
        ]
        detector = cls(artifact, members, threads)
        if any(m.engine.device == "cpu" and _may_saturate(m.member.network) for m in members):
            _warn_where_int8_saturates()
        rows, cols = artifact.manifest.preprocessing.size
        detector._judge([_Prepared(np.zeros((rows, cols, 3), np.uint8), {})], with_map=True)
        return detector

    @property
    def manifest(self) -> Manifest:
        """The artifact's manifest."""
        return self.artifact.manifest

    @property
    def engine(self) -> Engine:
        """What runs the networks; the same for all members."""
        return self.members[0].engine

    @property
    def precision(self) -> str:
        """What the networks compute in, such as ``fp32`` or ``fp32, int8``."""
        return ", ".join(sorted({member.member.network.precision for member in self.members}))

    @property
    def search(self) -> str:
        """The kinds of search, such as ``hnsw`` or ``exact, hnsw``."""
        return ", ".join(sorted({member.kind for member in self.members}))

    def predict(self, image: Path | str | RGBImage, *, with_map: bool = True) -> Prediction:
        """Score one image.

        Args:
            image: a file, or an ``(H, W, 3)`` uint8 array, RGB (OpenCV cameras give BGR).
            with_map: False leaves the map out, and what only the map needs.

        Raises:
            ImageError: the image cannot be read or used.
            EngineError: the network failed, or this is a fork of the process that has loaded it.
        """
        (prediction,) = self.predict_batch([image], with_map=with_map)
        return prediction

    def predict_batch(
        self, images: Sequence[Path | str | RGBImage], *, with_map: bool = True
    ) -> list[Prediction]:
        """Score several images with one run of the network.

        Each prediction's ``network`` time is its share of the run.

        Raises:
            ImageError: one of them cannot be read or used; none is scored.
            EngineError: the network failed, or the batch is larger than the engine takes.
        """
        prepared = [self._prepare(image) for image in images]
        return self._judge(prepared, with_map=with_map) if prepared else []

    def stream(
        self, images: Iterable[Path | str | RGBImage], *, with_map: bool = True
    ) -> Generator[Prediction | EdgeADError, None, None]:
        """Score images one after the other, reading and preprocessing ahead in another thread.

        Yields:
            Per image, in order, its prediction, or why there is none; the rest goes on.
        """

        def prepare(image: Path | str | RGBImage) -> _Prepared | EdgeADError:
            try:
                return self._prepare(image)
            except EdgeADError as exc:
                return exc

        waiting = iter(images)
        with ThreadPoolExecutor(1) as reader:
            ahead = deque(reader.submit(prepare, image) for image in islice(waiting, _READ_AHEAD))
            while ahead:
                prepared = ahead.popleft().result()
                ahead.extend(reader.submit(prepare, image) for image in islice(waiting, 1))
                if isinstance(prepared, EdgeADError):
                    yield prepared
                    continue
                try:
                    yield from self._judge([prepared], with_map=with_map)
                except EdgeADError as exc:
                    yield exc

    def map(self, distances: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        """Anomaly map of each member's ``(rows * cols,)`` patch distances."""
        size = self.manifest.preprocessing.size
        pairs = zip(self.members, distances, strict=True)
        return combine([member.map(d, size) for member, d in pairs], self._scales)

    @property
    def _scales(self) -> list[float]:
        return [member.member.scale for member in self.members]

    def _prepare(self, image: Path | str | RGBImage) -> _Prepared:
        clock = _Stopwatch()
        pixels = read_image(image) if isinstance(image, str | Path) else image
        clock.lap("decode")
        try:
            preprocessed = self.manifest.preprocessing.apply(pixels)
        except ImageError as exc:
            if isinstance(image, str | Path):
                raise ImageError(str(exc), path=Path(image)) from exc
            raise
        clock.lap("preprocess")
        return _Prepared(preprocessed, clock.laps_ms)

    def _judge(self, prepared: Sequence[_Prepared], *, with_map: bool) -> list[Prediction]:
        if os.getpid() != self._process:
            raise EngineError(
                f"this detector was loaded in process {self._process} and is used in a fork of it, "
                f"{os.getpid()}, which lacks its threads and would wait for them for ever; load it "
                "in the process that uses it, or start that one with the method 'spawn'"
            )
        clock = _Stopwatch()
        batch = np.stack([image.pixels for image in prepared])
        observed = [member.observe(batch) for member in self.members]  # [member][image]
        clock.lap("network")
        network_ms = clock.laps_ms["network"] / len(prepared)
        return [
            self._judge_one(
                [each[i] for each in observed], {**image.laps_ms, "network": network_ms}, with_map
            )
            for i, image in enumerate(prepared)
        ]

    def _judge_one(
        self, observed: Sequence[Observed], laps_ms: dict[str, float], with_map: bool
    ) -> Prediction:
        members, clock = self.members, _Stopwatch()
        nearest = [m.nearest(o) for m, o in zip(members, observed, strict=True)]
        clock.lap("search")
        distances = [m.distances(n) for m, n in zip(members, nearest, strict=True)]
        stages = zip(members, observed, distances, nearest, strict=True)
        score = float(combine([m.score(o.features, d, n) for m, o, d, n in stages], self._scales))
        threshold = self.manifest.calibration.threshold
        verdict = verdict_of(score, threshold)
        heat = self.map(distances) if with_map else None
        clock.lap("postprocess")
        laps_ms = {**laps_ms, **clock.laps_ms}
        return Prediction(
            score=score,
            threshold=threshold,
            verdict=verdict,
            map=heat,
            exact=all(d.max() >= n.bound for d, n in zip(distances, nearest, strict=True)),
            scanned=sum(n.scanned for n in nearest),
            bound=float(combine([n.bound for n in nearest], self._scales)),
            timings_ms={**laps_ms, "total": sum(laps_ms.values())},
        )


def _may_saturate(network: Network) -> bool:
    return network.precision == "int8" and network.quantised_for != "any"


def _warn_where_int8_saturates() -> None:
    if saturates_int8():
        warnings.warn(
            "this processor has no VNNI, and cuts off sums of 8-bit products that the int8 network "
            "may need: scores may differ from the exported ones; export with --target any for it "
            "(edge-ad verify says how far they differ)",
            EdgeADWarning,
            stacklevel=3,
        )


@dataclass(frozen=True)
class _Prepared:
    """An image as the network takes it ``(H, W, 3)``, and what that took."""

    pixels: RGBImage
    laps_ms: dict[str, float]


class _Stopwatch:
    """Milliseconds per named stage since it was made."""

    def __init__(self) -> None:
        self._last = time.perf_counter()
        self.laps_ms: dict[str, float] = {}

    def lap(self, stage: str) -> None:
        now = time.perf_counter()
        self.laps_ms[stage] = (now - self._last) * 1e3
        self._last = now
