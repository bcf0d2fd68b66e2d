"""Measure which search on how many threads is fastest on this machine."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edge_ad_runtime.artifact.a_contrario_records import AContrarioRecord
from edge_ad_runtime.artifact.folder import Artifact
from edge_ad_runtime.artifact.head_records import (
    GallerySearchRecord,
    HnswSearchRecord,
    PatchSearchRecord,
)
from edge_ad_runtime.decision.threshold import least_unit
from edge_ad_runtime.detector import Detector
from edge_ad_runtime.device import machine
from edge_ad_runtime.device.settings import DeviceSettings, write_device_settings
from edge_ad_runtime.errors import EdgeADError
from edge_ad_runtime.heads import SCORE
from edge_ad_runtime.options import SearchChoice
from edge_ad_runtime.prediction import Prediction

Way = tuple[SearchChoice, int]
"""A search and a number of threads."""

ROUNDS = 15

_BUDGET_S = 20.0
_LEAST_SAMPLES = 2
_LOST = 1.5  # times the fastest: an option this slow is timed no further


@dataclass(frozen=True, kw_only=True)
class Option:
    """One way to run the artifact, and the median time of an image in it."""

    search: SearchChoice
    threads: int
    ms: float


@dataclass(frozen=True, kw_only=True)
class TuneReport:
    """All options, and the settings that were written, which are those of the fastest."""

    options: tuple[Option, ...]
    settings: DeviceSettings


def tune(folder: Path | str, *, tick: Callable[[], None] = lambda: None) -> TuneReport:
    """Time the options on the artifact's reference images, in turn, and write ``device.json``.

    An option that has clearly lost is timed no further, and after 20 s no round begins: the fastest
    have most samples by then, and exact search of a large bank takes a second an image.

    Args:
        folder: the artifact's folder.
        tick: what to call after each round over all options that are left.

    Raises:
        ArtifactError: as in `Detector.load`, or ``device.json`` cannot be written.
        EdgeADError: two options do not give the same scores, so nothing is written.
    """
    artifact = Artifact.open(folder)
    images = {r.file: artifact.image(r.file) for r in artifact.manifest.reference}
    cores = int(machine()["cores"])
    indexed = any(
        isinstance(member.head, PatchSearchRecord | GallerySearchRecord)
        and isinstance(member.head.search, HnswSearchRecord)
        for member in artifact.manifest.members
    )
    searches: tuple[SearchChoice, ...] = ("artifact", "exact") if indexed else ("artifact",)
    with ExitStack() as opened:
        detectors = {
            (search, threads): opened.enter_context(
                Detector.load(folder, threads=threads, search=search)
            )
            for search in searches
            for threads in sorted({1, max(1, cores // 2), cores})
        }
        times: dict[Way, list[float]] = {key: [] for key in detectors}
        began = time.monotonic()
        for done in range(ROUNDS):
            for name, image in images.items():
                left = _still_racing(times)
                found = {key: detectors[key].predict(image) for key in left}
                _check_same(found, artifact.folder / name, artifact)
                for key, prediction in found.items():
                    times[key].append(prediction.timings_ms["total"])
            tick()
            if time.monotonic() - began > _BUDGET_S and done + 1 >= _LEAST_SAMPLES:
                break
    options = tuple(
        Option(search=search, threads=threads, ms=float(np.median(values)))
        for (search, threads), values in times.items()
    )
    settings = _fastest(options, artifact, cores)
    write_device_settings(artifact, settings)
    return TuneReport(options=options, settings=settings)


def _still_racing(times: Mapping[Way, Sequence[float]]) -> list[Way]:
    """The options that may still be the fastest."""
    if min(map(len, times.values())) < _LEAST_SAMPLES:
        return list(times)
    medians = {key: float(np.median(values)) for key, values in times.items()}
    best = min(medians.values())
    return [key for key, median in medians.items() if median <= _LOST * best]


def _fastest(options: Sequence[Option], artifact: Artifact, cores: int) -> DeviceSettings:
    best = min(options, key=lambda option: option.ms)
    others = ", ".join(f"{o.search} on {o.threads} {o.ms:.1f} ms" for o in options if o != best)
    return DeviceSettings(
        artifact_sha256=artifact.manifest.sha256,
        cpu=str(machine()["cpu"]),
        cores=cores,
        search=best.search,
        threads=best.threads,
        reason=f"{best.ms:.1f} ms per image; {others}",
    )


def _check_same(found: dict[Way, Prediction], image: Path, artifact: Artifact) -> None:
    scores = [prediction.score for prediction in found.values()]
    manifest = artifact.manifest
    in_decades = isinstance(manifest.members[0].head, AContrarioRecord)
    least = least_unit(manifest.calibration.threshold, in_decades=in_decades)
    largest = max(abs(score) for score in scores)
    if max(scores) - min(scores) > manifest.tolerances[SCORE.name] * max(largest, least):
        raise EdgeADError(
            f"{image}: scores from {min(scores):.6g} to {max(scores):.6g}, depending on the search "
            "or the threads; this machine does not compute reliably, nothing was written"
        )
