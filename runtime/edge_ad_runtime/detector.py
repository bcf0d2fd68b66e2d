"""`Detector`: an artifact, loaded, giving a score, a verdict and a map for one image at a time."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from edge_ad_runtime.artifact import Artifact
from edge_ad_runtime.device import SearchChoice, read_device_settings
from edge_ad_runtime.engines import Engine, EngineName
from edge_ad_runtime.errors import ConfigError, EdgeADError, ImageError
from edge_ad_runtime.images import RGBImage, read_image
from edge_ad_runtime.manifest import Manifest
from edge_ad_runtime.patch_search import PatchSearch
from edge_ad_runtime.score import combine

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
    """

    def __init__(self, artifact: Artifact, members: Sequence[PatchSearch]) -> None:
        self.artifact = artifact
        self.members = tuple(members)

    @classmethod
    def load(
        cls,
        path: Path | str,
        engine: EngineName | Literal["auto"] = "auto",
        threads: int | None = None,
        search: SearchChoice | Literal["auto"] = "auto",
    ) -> Detector:
        """Load an artifact and run it once, so that the first image is as fast as the next.

        Args:
            path: the ``.edgead`` folder.
            engine: a name of `edge_ad_runtime.engines.ENGINES`; ``auto``: ONNX Runtime on the CPU.
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
        engine = "onnxruntime" if engine == "auto" else engine
        tuned = read_device_settings(artifact) if search == "auto" else None
        if tuned is not None:
            search, threads = tuned.search, threads or tuned.threads
        members = [
            PatchSearch.load(
                artifact, member, engine=engine, threads=threads, exact=search == "exact"
            )
            for member in artifact.manifest.members
        ]
        detector = cls(artifact, members)
        rows, cols = artifact.manifest.preprocessing.size
        detector._judge(np.zeros((rows, cols, 3), np.uint8), _Stopwatch(), with_map=True)
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
            EngineError: the network failed.
        """
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
        return self._judge(preprocessed, clock, with_map=with_map)

    def map(self, distances: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        """Anomaly map of each member's ``(rows * cols,)`` patch distances."""
        size = self.manifest.preprocessing.size
        pairs = zip(self.members, distances, strict=True)
        return combine([member.map(d, size) for member, d in pairs], self._scales)

    @property
    def _scales(self) -> list[float]:
        return [member.member.scale for member in self.members]

    def _judge(self, preprocessed: RGBImage, clock: _Stopwatch, *, with_map: bool) -> Prediction:
        members = self.members
        observed = [member.observe(preprocessed) for member in members]
        clock.lap("network")
        nearest = [m.nearest(f, r) for m, (f, r) in zip(members, observed, strict=True)]
        clock.lap("search")
        distances = [m.distances(n) for m, n in zip(members, nearest, strict=True)]
        stages = zip(members, observed, distances, nearest, strict=True)
        score = float(combine([m.score(f, d, n) for m, (f, _), d, n in stages], self._scales))
        threshold = self.manifest.calibration.threshold
        verdict = verdict_of(score, threshold)
        heat = self.map(distances) if with_map else None
        clock.lap("postprocess")
        return Prediction(
            score=score,
            threshold=threshold,
            verdict=verdict,
            map=heat,
            exact=all(d.max() >= n.bound for d, n in zip(distances, nearest, strict=True)),
            scanned=sum(n.scanned for n in nearest),
            bound=float(combine([n.bound for n in nearest], self._scales)),
            timings_ms=clock.timings_ms(),
        )


class _Stopwatch:
    """Milliseconds per named stage since it was made."""

    def __init__(self) -> None:
        self._start = self._last = time.perf_counter()
        self._laps_ms: dict[str, float] = {}

    def lap(self, stage: str) -> None:
        now = time.perf_counter()
        self._laps_ms[stage] = (now - self._last) * 1e3
        self._last = now

    def timings_ms(self) -> dict[str, float]:
        return {**self._laps_ms, "total": (self._last - self._start) * 1e3}
