"""All that `edge-ad profile` has measured, as JSON, as a drawing and as a trace."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from edge_ad_runtime.device.machine_state import MachineState
from edge_ad_runtime.escaping import json_text
from edge_ad_runtime.profile.drawing import draw_latency
from edge_ad_runtime.profile.latency import Latency
from edge_ad_runtime.profile.pace import Pace
from edge_ad_runtime.profile.sweep import SweepPoint
from edge_ad_runtime.profile.trace import TraceRow, to_trace


@dataclass(frozen=True, kw_only=True)
class ProfileReport:
    """What was measured of an artifact, and of those that it was compared with.

    Attributes:
        latencies: the artifact's latency, then those of the others, taken in alternation.
        budget_ms: the cycle-time budget, where one was given.
        sweep: the times with different threads and pinning. It is empty unless it was asked for.
        pace: how deadlines were met at a frame rate, where a rate was given.
        before: the machine's state before the first measurement.
        after: the machine's state after the last measurement.
    """

    latencies: tuple[Latency, ...]
    budget_ms: float | None
    sweep: tuple[SweepPoint, ...]
    pace: Pace | None
    before: MachineState
    after: MachineState

    @property
    def within_budget(self) -> bool | None:
        """Whether the 99th percentile of the artifact's total is at most the budget."""
        total = self.latencies[0].stages["total"]
        return None if self.budget_ms is None else total.p99_ms <= self.budget_ms

    def ratio(self, other: Latency) -> float:
        """The ratio of the other's median total to the artifact's."""
        return other.stages["total"].p50_ms / self.latencies[0].stages["total"].p50_ms

    def same_verdicts(self, other: Latency) -> int:
        """The number of images on which the other gives the artifact's verdict."""
        first = self.latencies[0].verdicts
        return sum(first[image] == verdict for image, verdict in other.verdicts.items())

    def to_json(self) -> str:
        """One JSON object, with the artifact's figures at its top. Fields are only ever added."""
        first, *others = self.latencies
        content = {
            **asdict(first),
            "budget_ms": self.budget_ms,
            "within_budget": self.within_budget,
            "machine_state": {"before": self.before.shown(), "after": self.after.shown()},
            "compared": [
                {
                    **asdict(other),
                    "ratio": self.ratio(other),
                    "same_verdicts": self.same_verdicts(other),
                }
                for other in others
            ],
            "sweep": [asdict(point) for point in self.sweep],
            "pace": None if self.pace is None else asdict(self.pace),
        }
        return json_text(content, indent=2)

    def to_svg(self) -> str:
        """A drawing of the artifact's total latency, with the budget marked."""
        return draw_latency(self.latencies[0], self.budget_ms, self.pace)

    def to_trace(self) -> str:
        """A trace for a browser's viewer: a row per artifact and engine, and one for the pace."""
        rows = [
            TraceRow(
                name=f"{latency.artifact} on {latency.engine}",
                starts_ms=latency.starts_ms,
                samples_ms=latency.samples_ms,
            )
            for latency in self.latencies
        ]
        if self.pace is not None:
            last = self.latencies[-1]
            over_ms = last.starts_ms[-1] + last.samples_ms["total"][-1]
            rows.append(
                TraceRow(
                    name=f"at {self.pace.fps:g} images a second",
                    starts_ms=[over_ms + start_ms for start_ms in self.pace.starts_ms],
                    samples_ms=self.pace.samples_ms,
                )
            )
        return to_trace(rows)
