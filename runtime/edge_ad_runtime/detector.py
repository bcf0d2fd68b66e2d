"""`Detector`: a loaded artifact, which gives a score, a verdict and a map for each image."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from edge_ad_runtime.artifact.a_contrario_records import AContrarioRecord
from edge_ad_runtime.artifact.folder import Artifact
from edge_ad_runtime.artifact.schema import Manifest
from edge_ad_runtime.artifact.words import EngineChoice
from edge_ad_runtime.decision.calibration import moved_to_threshold
from edge_ad_runtime.decision.regions import Region, find_regions
from edge_ad_runtime.decision.threshold import check_threshold, verdict_of
from edge_ad_runtime.device.saturation import warn_where_int8_saturates
from edge_ad_runtime.device.settings import read_device_settings
from edge_ad_runtime.engines import Engine
from edge_ad_runtime.errors import (
    EdgeADError,
    EngineError,
    ImageError,
)
from edge_ad_runtime.heads import POSTPROCESS, Arrays
from edge_ad_runtime.heads.ensemble import combine, combine_evidence
from edge_ad_runtime.heads.stages import check_tolerances
from edge_ad_runtime.images import RGBImage, read_image
from edge_ad_runtime.images.arrays import Channels, as_rgb
from edge_ad_runtime.loaded_member import LoadedMember
from edge_ad_runtime.options import RunOptions, SearchChoice
from edge_ad_runtime.prediction import Prediction, decisive_values
from edge_ad_runtime.stopwatch import Stopwatch

ImageOrPath = Path | str | RGBImage

_READ_AHEAD = 2  # images


class Detector:
    """Scores images with a loaded artifact. Several threads may use it at once.

    It holds the threads and the memory of its engines and searches until it is closed. The end of a
    ``with`` block closes it, and at the latest the end of the last reference to it does.

    >>> from edge_ad_runtime import Detector                          # doctest: +SKIP
    >>> with Detector.load("line3.edgead") as detector:               # doctest: +SKIP
    ...     print(detector.predict("part.png").verdict)
    good

    Attributes:
        artifact: the folder and its manifest.
        members: the loaded networks with their heads. An ensemble has several, others have one.
        options: the engine, the threads and the search that they were loaded with.
    """

    def __init__(
        self, artifact: Artifact, members: Sequence[LoadedMember], options: RunOptions
    ) -> None:
        self.artifact = artifact
        self.members = tuple(members)
        self.options = options
        self._process = os.getpid()
        self._is_closed = False

    @classmethod
    def load(
        cls,
        path: Path | str,
        engine: EngineChoice = "auto",
        threads: int | None = None,
        search: SearchChoice | Literal["auto"] = "auto",
        threshold: float | None = None,
    ) -> Detector:
        """Load an artifact and run it once, so that the first image is as fast as the next.

        Args:
            path: the ``.edgead`` folder, or the archive that ``edge-ad pack`` makes of it.
            engine: a name of `edge_ad_runtime.engines.ENGINES`. ``auto`` takes the one that the
                artifact was exported for.
            threads: the CPU threads of the network and the HNSW search. None takes what
                ``edge-ad tune`` has found best, or else all cores. (The exact search's matrix
                product follows ``OPENBLAS_NUM_THREADS``.)
            search: ``artifact`` takes the artifact's own search, and ``exact`` the exact one.
                ``auto`` takes what ``edge-ad tune`` has found best, or else the artifact's. The
                score is the same with each.
            threshold: try another threshold than the artifact's. None takes the artifact's.
                (``edge-ad threshold`` makes an artifact with another one, for the line.)

        Raises:
            ArtifactError: the artifact is missing, damaged, inconsistent or too new.
            ConfigError: the artifact's scores can have no such threshold.
            EngineError: the engine is not installed or refuses the graph.
        """
        artifact = Artifact.open(path)
        if threshold is not None:
            artifact = _with_threshold(artifact, threshold)
        tuned = read_device_settings(artifact) if search == "auto" else None
        if tuned is not None:
            search, threads = tuned.search, tuned.threads if threads is None else threads
        options = RunOptions(
            engine=artifact.manifest.engine if engine == "auto" else engine,
            threads=threads,
            search="artifact" if search == "auto" else search,
        )
        return cls.open(artifact, options)

    @classmethod
    def open(cls, artifact: Artifact, options: RunOptions) -> Detector:
        """Load an artifact whose manifest has been read. See `load`."""
        with ExitStack() as opened:  # closes the members that are loaded if another cannot be
            members = []
            for record in artifact.manifest.members:
                members.append(LoadedMember.load(artifact, record, options))
                opened.callback(members[-1].close)
            detector = cls(artifact, members, options)
            check_tolerances(artifact, [member.head for member in members])
            detector._warm_up()
            opened.pop_all()
        return detector

    @property
    def manifest(self) -> Manifest:
        """The artifact's manifest."""
        return self.artifact.manifest

    @property
    def engine(self) -> Engine:
        """The engine that runs the networks. All members have the same."""
        return self.members[0].engine

    @property
    def precision(self) -> str:
        """The precisions that the networks compute in, such as ``fp32`` or ``fp32, int8``."""
        return ", ".join(sorted({member.record.network.precision for member in self.members}))

    @property
    def search(self) -> str:
        """The kinds of search, such as ``hnsw`` or ``exact, hnsw``, or ``none`` without any."""
        kinds = {member.head.search for member in self.members} - {None}
        return ", ".join(sorted(kind for kind in kinds if kind)) or "none"

    @property
    def timed(self) -> tuple[str, ...]:
        """The stages of `Prediction.timings_ms`, in order."""
        of_heads = dict.fromkeys(name for member in self.members for name in member.head.timed)
        return ("decode", "preprocess", "network", *of_heads, "total")

    @property
    def scales(self) -> list[float]:
        """The numbers that the members' scores and maps are divided by, one for each member."""
        return [member.record.scale for member in self.members]

    def close(self) -> None:
        """Give back threads and memory, a GPU's too. Nothing can be predicted afterwards."""
        if self._is_closed:  # an engine is closed once
            return
        self._is_closed = True
        for member in self.members:
            member.close()

    def __enter__(self) -> Detector:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def predict(
        self, image: ImageOrPath, *, with_map: bool = True, channels: Channels = "rgb"
    ) -> Prediction:
        """Score one image.

        Args:
            image: a file, or a uint8 array: ``(H, W, 3)``, or ``(H, W)`` of grey.
            with_map: False leaves out the map and the work that only the map needs. (Some artifacts
                have maps of anomalous images alone.)
            channels: the order of an array's colours. OpenCV gives ``bgr``.

        Raises:
            ImageError: the image cannot be read or used.
            EngineError: the network failed, or this is a fork of the process that has loaded it.
        """
        (prediction,) = self.predict_batch([image], with_map=with_map, channels=channels)
        return prediction

    def predict_batch(
        self, images: Sequence[ImageOrPath], *, with_map: bool = True, channels: Channels = "rgb"
    ) -> list[Prediction]:
        """Score several images with one run of the network.

        Each prediction's ``network`` time is its share of the run.

        Raises:
            ImageError: one of the images cannot be read or used, so none of them is scored.
            EngineError: the network failed, or the batch is larger than the engine takes.
        """
        prepared = [self._prepare(image, channels) for image in images]
        return self._judge(prepared, with_map=with_map) if prepared else []

    def stream(
        self, images: Iterable[ImageOrPath], *, with_map: bool = True, channels: Channels = "rgb"
    ) -> Generator[Prediction | EdgeADError, None, None]:
        """Score images one after the other. Files are read ahead in another thread.

        Arrays need no reading, and another thread would only take time from the network. So each
        is asked for when the one before has been given: a camera's frame waits for no other.

        Yields:
            For each image, in order, its prediction or the error that kept it from having one. An
            error does not end the stream.
        """

        def prepare(image: ImageOrPath) -> _Prepared | EdgeADError:
            try:
                return self._prepare(image, channels)
            except EdgeADError as exc:
                return exc

        with ThreadPoolExecutor(1) as reader:
            for prepared in _in_order(images, prepare, reader):
                if isinstance(prepared, EdgeADError):
                    yield prepared
                    continue
                try:
                    yield from self._judge([prepared], with_map=with_map)
                except EdgeADError as exc:
                    yield exc

    def regions(self, values: NDArray[np.float32], original: tuple[int, int]) -> tuple[Region, ...]:
        """The regions of an image that are above the artifact's threshold, see `Prediction`.

        Args:
            values: ``(H, W)`` of the network's input, in the unit of the score.
            original: the size of the image as it was read.
        """
        placement = self.manifest.preprocessing.placement(original)
        return find_regions(values, self.manifest.calibration.threshold, placement)

    def _prepare(self, image: ImageOrPath, channels: Channels) -> _Prepared:
        clock = Stopwatch()
        pixels = read_image(image) if isinstance(image, str | Path) else as_rgb(image, channels)
        clock.lap("decode")
        try:
            preprocessed = self.manifest.preprocessing.apply(pixels)
        except ImageError as exc:
            if isinstance(image, str | Path):
                raise ImageError(str(exc), path=Path(image)) from exc
            raise
        clock.lap("preprocess")
        return _Prepared(preprocessed, (pixels.shape[0], pixels.shape[1]), clock.laps_ms)

    def _judge(self, prepared: Sequence[_Prepared], *, with_map: bool) -> list[Prediction]:
        if os.getpid() != self._process:
            raise EngineError(
                f"this detector was loaded in process {self._process} and is used in a fork of it, "
                f"{os.getpid()}, which lacks its threads and would wait for them for ever; load it "
                "in the process that uses it, or start that one with the method 'spawn'"
            )
        if self._is_closed:
            raise EngineError("this detector is closed; load the artifact again")
        clock = Stopwatch()
        batch = np.stack([image.pixels for image in prepared])
        outputs = [member.run(batch) for member in self.members]  # [member][image]
        clock.lap("network")
        network_ms = clock.laps_ms["network"] / len(prepared)
        return [
            self._judge_one(
                [each[i] for each in outputs],
                image.original,
                {**image.laps_ms, "network": network_ms},
                with_map=with_map,
            )
            for i, image in enumerate(prepared)
        ]

    def _judge_one(
        self,
        outputs: Sequence[Arrays],
        original: tuple[int, int],
        laps_ms: dict[str, float],
        *,
        with_map: bool,
    ) -> Prediction:
        clock = Stopwatch()
        pairs = zip(self.members, outputs, strict=True)
        judged = [member.judge(found, with_map=with_map) for member, found in pairs]
        score = float(combine([each.score for each in judged], self.scales))
        threshold = self.manifest.calibration.threshold
        maps = [each.map for each in judged if each.map is not None]
        prediction_map = combine(maps, self.scales) if len(maps) == len(judged) else None
        significance = judged[0].significance if len(judged) == 1 else None
        in_unit = all(member.head.map_in_unit_of_score for member in self.members)
        decisive = decisive_values(prediction_map, significance, in_unit)
        regions = None if decisive is None else self.regions(decisive, original)
        evidence = combine_evidence([each.evidence for each in judged], self.scales)
        deciding = judged[0].deciding if len(judged) == 1 else None
        if deciding is not None:
            deciding = self.manifest.preprocessing.placement(original).box(*deciding)
        verdict = verdict_of(score, threshold)
        clock.lap("judge")
        of_heads: dict[str, float] = {}
        for each in judged:
            for stage, ms in each.timings_ms.items():
                of_heads[stage] = of_heads.get(stage, 0.0) + ms
        of_heads[POSTPROCESS] += clock.laps_ms["judge"] - sum(of_heads.values())
        laps_ms = {**laps_ms, **of_heads}
        return Prediction(
            score=score,
            threshold=threshold,
            verdict=verdict,
            map=prediction_map,
            evidence=evidence,
            timings_ms={**laps_ms, "total": sum(laps_ms.values())},
            significance=significance,
            regions=regions,
            map_in_unit_of_score=in_unit,
            deciding=deciding,
        )

    def _warm_up(self) -> None:
        """Predict once, so that the first image is as fast as the next."""
        on_cpu = [m.record.network for m in self.members if m.engine.device == "cpu"]
        warn_where_int8_saturates(on_cpu)
        rows, cols = self.manifest.preprocessing.size
        blank = np.zeros((rows, cols, 3), np.uint8)
        self._judge([_Prepared(blank, (rows, cols), {})], with_map=True)


def _in_order(
    images: Iterable[ImageOrPath],
    prepare: Callable[[ImageOrPath], _Prepared | EdgeADError],
    reader: ThreadPoolExecutor,
) -> Iterator[_Prepared | EdgeADError]:
    """Prepare images in order: files ahead, by the reader, and arrays when their turn comes."""
    waiting = iter(images)
    ahead: deque[Future[_Prepared | EdgeADError] | RGBImage] = deque()
    while True:
        while len(ahead) < _READ_AHEAD and all(isinstance(each, Future) for each in ahead):
            try:
                image = next(waiting)
            except StopIteration:
                break
            is_file = isinstance(image, str | Path)
            ahead.append(reader.submit(prepare, image) if is_file else image)  # type: ignore[arg-type]
        if not ahead:
            return
        first = ahead.popleft()
        yield first.result() if isinstance(first, Future) else prepare(first)


def _with_threshold(artifact: Artifact, threshold: float) -> Artifact:
    """The artifact with another threshold in memory, and what its scores make of that."""
    manifest = artifact.manifest
    in_decades = any(isinstance(m.head, AContrarioRecord) for m in manifest.members)
    check_threshold(threshold, in_decades=in_decades)
    calibration = moved_to_threshold(manifest.calibration, threshold, manifest.sha256)
    return replace(artifact, manifest=replace(manifest, calibration=calibration))


@dataclass(frozen=True)
class _Prepared:
    """An image as the network takes it, ``(H, W, 3)``, the size that it had, and what that took."""

    pixels: RGBImage
    original: tuple[int, int]
    laps_ms: dict[str, float]
