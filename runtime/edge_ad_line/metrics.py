"""`Metrics`: what a line counts, in one Prometheus registry of its own.

Labels are names from the settings and words from fixed lists, never a part's id or a path, so that
there is no end of series.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from edge_ad_line.result import REASONS, Result
from edge_ad_runtime import __version__

_SECONDS = (0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1, 2.5, 5, 10)
_RATIOS = (0.1, 0.25, 0.5, 0.6, 0.7, 0.8, 0.9, 1, 1.1, 1.25, 1.5, 2, 5, 10)


class Metrics:
    """The registry of one line, for ``prometheus_client.generate_latest``.

    Attributes:
        registry: all that is counted.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._images = self._counter("images", "Results by verdict.", "part", "verdict")
        self._errors = self._counter("errors", "Results without a verdict.", "part", "reason")
        self._misses = self._counter("deadline_misses", "Results after the deadline.", "part")
        self._total = self._histogram(
            "inspection_duration_seconds", "From the image to the result.", _SECONDS, "part"
        )
        self._stages = self._histogram(
            "stage_duration_seconds", "Each stage of an inspection.", _SECONDS, "part", "stage"
        )
        self._ratio = self._histogram(
            "score_threshold_ratio", "The score, in thresholds.", _RATIOS, "part"
        )
        self._dropped = self._counter(
            "frames_dropped", "Frames that were not judged.", "camera", "reason"
        )
        self._swaps = self._counter("swaps", "Artifacts that were to judge.", "part", "result")
        self._drift = self._gauge("drift_evidence_log10", "Evidence of drift, in decades.", "part")
        self._drifts = self._counter("drift_alarms", "Alarms of drift.", "part")
        self._watchdog = self._gauge(
            "watchdog_timestamp_seconds", "When the watchdog was last told that all goes on."
        )
        info = self._gauge("build_info", "The runtime's version.", "version")
        info.labels(__version__).set(1)

    def expect(self, part: str) -> None:
        """Let the counters of a part begin at 0, so that a rise to 1 can be seen."""
        for verdict in ("good", "anomalous", "error"):
            self._images.labels(part, verdict)
        for reason in REASONS:
            self._errors.labels(part, reason)
        for result in ("promoted", "refused", "rolled-back"):
            self._swaps.labels(part, result)
        self._misses.labels(part)
        self._drifts.labels(part)

    def judged(self, result: Result, *, deadline_ms: int) -> None:
        """Count a result."""
        self._images.labels(result.part, result.verdict).inc()
        if result.reason is not None:
            self._errors.labels(result.part, result.reason).inc()
        for stage, ms in result.timings_ms.items():
            if stage == "total":
                self._total.labels(result.part).observe(ms / 1000)
                self._misses.labels(result.part).inc(int(ms > deadline_ms))
            else:
                self._stages.labels(result.part, stage).observe(ms / 1000)
        if result.score is not None and result.threshold:
            self._ratio.labels(result.part).observe(result.score / result.threshold)
        if result.drift is not None:
            self._drift.labels(result.part).set(result.drift)

    def dropped(self, camera: str, reason: str) -> None:
        """Count a frame that nobody judges."""
        self._dropped.labels(camera, reason).inc()

    def swapped(self, part: str, result: str) -> None:
        """Count an artifact that was ``promoted``, ``refused`` or ``rolled-back``."""
        self._swaps.labels(part, result).inc()

    def drifted(self, part: str) -> None:
        """Count an alarm of drift."""
        self._drifts.labels(part).inc()

    def alive(self, now_s: float) -> None:
        """Note that the watchdog was told."""
        self._watchdog.set(now_s)

    def watch(self, status: Callable[[], Mapping[str, Any]]) -> None:
        """Read what changes by itself, such as the age of frames, from a line's status."""
        self.registry.register(StatusCollector(status))

    def _counter(self, name: str, help: str, *labels: str) -> Counter:
        return Counter(f"edge_ad_{name}", help, labels, registry=self.registry)

    def _gauge(self, name: str, help: str, *labels: str) -> Gauge:
        return Gauge(f"edge_ad_{name}", help, labels, registry=self.registry)

    def _histogram(
        self, name: str, help: str, buckets: tuple[float, ...], *labels: str
    ) -> Histogram:
        return Histogram(f"edge_ad_{name}", help, labels, buckets=buckets, registry=self.registry)


class StatusCollector(Collector):
    """Gauges that are read from the status when somebody asks."""

    def __init__(self, status: Callable[[], Mapping[str, Any]]) -> None:
        self._status = status

    def describe(self) -> Iterable[Metric]:
        """Nothing: a registry must not ask for the status when this is registered."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """The metrics of the status."""
        status = self._status()
        yield from _of_parts(status["parts"])
        yield from _of_cameras(status["cameras"])
        yield from _of_sinks(status["sinks"])
        yield from _of_store(status["store"])


def _family(
    name: str, help: str, labels: tuple[str, ...], rows: Iterable[tuple[tuple[str, ...], float]]
) -> Metric:
    kind = CounterMetricFamily if name.endswith("_total") else GaugeMetricFamily
    family = kind(f"edge_ad_{name}", help, labels=labels)
    for values, number in rows:
        family.add_metric(values, number)
    return family


def _of_parts(parts: Mapping[str, Any]) -> Iterable[Metric]:
    yield _family(
        "artifact_info",
        "The artifact that judges.",
        ("part", "sha256", "role"),
        [((name, part["artifact"], "live"), 1) for name, part in parts.items()],
    )
    yield _family(
        "verify_timestamp_seconds",
        "When the artifact was last verified here.",
        ("part",),
        [((name,), part["verified_s"]) for name, part in parts.items()],
    )
    yield _family(
        "waiting_images",
        "Images that wait to be judged.",
        ("part",),
        [((name,), part["waiting"]) for name, part in parts.items()],
    )


def _of_cameras(cameras: Mapping[str, Any]) -> Iterable[Metric]:
    rows = cameras.items()
    yield _family(
        "camera_up", "Whether it gives pictures.", ("camera",),
        [((name,), float(camera["is_up"])) for name, camera in rows],
    )  # fmt: skip
    yield _family(
        "camera_frame_age_seconds", "Since the last picture.", ("camera",),
        [((n,), c["frame_age_s"]) for n, c in rows if c["frame_age_s"] is not None],
    )  # fmt: skip
    yield _family(
        "camera_reconnects_total", "How often it was opened again.", ("camera",),
        [((name,), camera["reconnects"]) for name, camera in rows],
    )  # fmt: skip
    yield _family(
        "camera_unhealthy", "Whether its last picture could not be judged, and why.",
        ("camera", "reason"),
        [((name, camera["fault"]), 1.0) for name, camera in rows if camera["fault"]],
    )  # fmt: skip


def _of_sinks(sinks: Mapping[str, Any]) -> Iterable[Metric]:
    gauges = {
        "sink_up": ("Whether it took what it was last given.", "is_up"),
        "outbox_messages": ("Messages that wait for it.", "messages"),
        "outbox_oldest_seconds": ("How long the oldest waits.", "oldest_s"),
        "outbox_dropped_total": ("Messages that were dropped as too many waited.", "dropped"),
        "outbox_refused": ("Messages that it will never take.", "refused"),
    }
    for name, (help, key) in gauges.items():
        rows = [((sink,), float(found[key])) for sink, found in sinks.items()]
        yield _family(name, help, ("sink",), rows)


def _of_store(store: Mapping[str, Any]) -> Iterable[Metric]:
    images = store["images"].items()
    yield _family(
        "store_bytes", "Images that are kept.", ("class",),
        [((kind,), found["bytes"]) for kind, found in images],
    )  # fmt: skip
    yield _family("store_free_bytes", "What the disk still has.", (), [((), store["free_bytes"])])
    yield _family(
        "store_images_deleted_total", "Images that retention has deleted.", ("class",),
        [((kind,), count) for kind, count in store["deleted"].items()],
    )  # fmt: skip
    yield _family(
        "store_failures_total", "What could not be stored.", ("what",),
        [((what,), count) for what, count in store["failures"].items()],
    )  # fmt: skip
