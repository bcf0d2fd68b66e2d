"""`Detector`: an artifact, loaded, giving a score, a verdict and a map for one image at a time."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from edge_ad_runtime import artifact as files
from edge_ad_runtime.artifact import Artifact
from edge_ad_runtime.engines import Engine, EngineName, open_engine
from edge_ad_runtime.errors import ArtifactError, ConfigError, EdgeADError, ImageError
from edge_ad_runtime.images import RGBImage, read_image
from edge_ad_runtime.manifest import Manifest
from edge_ad_runtime.score import anomaly_map, image_score, patch_distances
from edge_ad_runtime.search import Nearest, Search
from edge_ad_runtime.search.exact import ExactSearch

Verdict = Literal["good", "anomalous"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Prediction:
    """What the detector says of one image.

    Attributes:
        score: raw distance, 0 upwards; comparable only within one artifact.
        threshold: the artifact's own, in the same unit.
        verdict: ``anomalous`` if score > threshold, else ``good``.
        map: ``(H, W)`` float32 at the network's input size, in units of distance.
        scanned: patches that were compared with the whole bank, so that the score is the exact
            search's whatever the index missed; all of them in an exact search.
        timings_ms: milliseconds per stage: decode, preprocess, network, search, postprocess, total.
    """

    score: float
    threshold: float
    verdict: Verdict
    map: NDArray[np.float32]
    scanned: int
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
    """

    def __init__(
        self,
        artifact: Artifact,
        engine: Engine,
        search: Search,
        bank: NDArray[np.float32],
        bank_neighbours: NDArray[np.int32] | None,
    ) -> None:
        self.artifact = artifact
        self.engine = engine
        self.search = search
        self._bank = bank
        self._bank_neighbours = bank_neighbours

    @classmethod
    def load(
        cls, path: Path | str, engine: EngineName = "auto", threads: int | None = None
    ) -> Detector:
        """Load an artifact and run it once, so that the first image is as fast as the next.

        Args:
            path: the ``.edgead`` folder.
            engine: ``auto`` or an engine's name.
            threads: CPU threads of the network and the HNSW search; None: all cores. (The exact
                search's matrix product follows ``OPENBLAS_NUM_THREADS``.)

        Raises:
            ArtifactError: missing, damaged, inconsistent or too new.
            EngineError: the engine is not installed or refuses the graph.
        """
        if threads is not None and threads < 1:
            raise ConfigError(f"threads is {threads}; it must be at least 1")
        artifact = Artifact.open(path)
        manifest = artifact.manifest
        bank, neighbours = _load_bank(artifact)
        graph = artifact.file(files.GRAPH).read_bytes()
        detector = cls(
            artifact,
            open_engine(engine, graph, threads=threads),
            _load_search(artifact, bank, threads),
            bank,
            neighbours,
        )
        rows, cols = manifest.preprocessing.size
        detector._judge(detector.features(np.zeros((rows, cols, 3), np.uint8)), _Stopwatch())
        return detector

    @property
    def manifest(self) -> Manifest:
        """The artifact's manifest."""
        return self.artifact.manifest

    def predict(self, image: Path | str | RGBImage) -> Prediction:
        """Score one image.

        Args:
            image: a file, or an ``(H, W, 3)`` uint8 array, RGB (OpenCV cameras give BGR).

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
        features = self.features(preprocessed)
        clock.lap("network")
        return self._judge(features, clock)

    def features(self, preprocessed: RGBImage) -> NDArray[np.float32]:
        """Patch features ``(rows, cols, D)`` of one preprocessed image.

        Raises:
            ArtifactError: the graph's output is not what the manifest says.
            EdgeADError: features are not finite.
        """
        network = self.manifest.network
        features = self.engine.run(preprocessed[np.newaxis])  # (1, rows, cols, D)
        expected = (1, *network.grid, network.dimension)
        if features.shape != expected or features.dtype != np.float32:
            raise ArtifactError(
                f"gives {features.dtype} features of shape {features.shape}, the manifest says "
                f"float32 {expected}; the two come from different exports, export again",
                path=self.artifact.folder / files.GRAPH,
            )
        if not np.isfinite(features).all():
            raise EdgeADError(
                f"{self.artifact.folder}: the network gives values that are not finite; "
                "the image cannot be judged"
            )
        return np.asarray(features[0])

    def nearest(self, features: NDArray[np.float32]) -> Nearest:
        """Nearest bank patches of each of ``(rows, cols, D)`` features, row-major."""
        flat = features.reshape(-1, features.shape[-1])
        return self.search.nearest(flat, self.manifest.scoring.neighbours)

    def map(self, distances: NDArray[np.float32]) -> NDArray[np.float32]:
        """Anomaly map of ``(rows * cols,)`` patch distances; see `anomaly_map`."""
        manifest = self.manifest
        return anomaly_map(
            distances,
            manifest.network.grid,
            manifest.preprocessing.size,
            manifest.scoring,
        )

    def _judge(self, features: NDArray[np.float32], clock: _Stopwatch) -> Prediction:
        nearest = self.nearest(features)
        clock.lap("search")
        flat = features.reshape(-1, features.shape[-1])
        distances = patch_distances(nearest, self.manifest.scoring)
        score = image_score(flat, distances, nearest, self._bank, self._bank_neighbours)
        threshold = self.manifest.calibration.threshold
        verdict = verdict_of(score, threshold)
        heat = self.map(distances)
        clock.lap("postprocess")
        return Prediction(
            score=score,
            threshold=threshold,
            verdict=verdict,
            map=heat,
            scanned=nearest.scanned,
            timings_ms=clock.timings_ms(),
        )


def _load_bank(artifact: Artifact) -> tuple[NDArray[np.float32], NDArray[np.int32] | None]:
    manifest = artifact.manifest
    rows, k = manifest.search.rows, manifest.scoring.neighbours
    if k > rows or (manifest.search.kind == "hnsw" and k > manifest.search.ef_search):
        raise ArtifactError(
            f"asks for {k} neighbours of a bank of {rows} rows searched with ef "
            f"{manifest.search.ef_search}; export again",
            path=artifact.folder,
        )
    bank = artifact.array(files.BANK, np.float32, (rows, manifest.network.dimension))
    b = manifest.scoring.reweight_neighbours
    neighbours = artifact.array(files.BANK_NEIGHBOURS, np.int32, (rows, b)) if b else None
    if neighbours is not None and not (0 <= neighbours.min() and neighbours.max() < rows):
        raise ArtifactError(
            f"names rows outside the bank's {rows}; export again",
            path=artifact.folder / files.BANK_NEIGHBOURS,
        )
    return bank, neighbours  # type: ignore[return-value]  # dtypes checked by Artifact.array


def _load_search(artifact: Artifact, bank: NDArray[np.float32], threads: int | None) -> Search:
    settings = artifact.manifest.search
    if settings.kind == "exact":
        return ExactSearch(bank)
    from edge_ad_runtime.search.hnsw import HnswSearch

    return HnswSearch(
        artifact.file(files.INDEX),
        bank,
        ef_search=settings.ef_search,
        squared=artifact.manifest.scoring.squared,
        threads=threads,
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
