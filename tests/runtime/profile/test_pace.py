"""Deadlines at a frame rate, on a clock of our own."""

import json
from types import SimpleNamespace
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner

from edge_ad_runtime.commands.main import main
from edge_ad_runtime.profile.pace import keep_pace

TIMED = ("decode", "network", "total")


def paced(*takes_ms, frames=10, budget_ms=100.0):
    """A pace of 10 frames a second; frame i takes ``takes_ms[i]``, the last of them for ever."""
    now = [100.0]

    def predict(path):
        ms = takes_ms[min(path, len(takes_ms) - 1)]
        now[0] += ms / 1e3
        return SimpleNamespace(timings_ms=dict.fromkeys(TIMED, ms))

    def sleep(seconds):
        now[0] += seconds

    return keep_pace(
        SimpleNamespace(predict=predict, timed=TIMED), range(1000), fps=10, minutes=frames / 600,
        budget_ms=budget_ms, clock=lambda: now[0], sleep=sleep,
    )  # fmt: skip


def test_who_is_fast_enough_begins_every_frame_when_it_is_due():
    pace = paced(20)
    assert (pace.frames, pace.scored, pace.misses, pace.late) == (10, 10, 0, 0)
    assert pace.starts_ms == pytest.approx([100.0 * i for i in range(10)])
    assert pace.latencies_ms == pytest.approx([20] * 10)
    assert pace.latency.p99_ms == pytest.approx(20)


def test_a_slow_frame_makes_the_next_ones_late_and_latency_counts_the_wait():
    pace = paced(20, 250, 20)
    assert pace.latencies_ms == pytest.approx([20, 250, 170, 90, 20, 20, 20, 20, 20, 20])
    assert (pace.misses, pace.longest_run, pace.late) == (2, 2, 2)
    assert pace.miss_fraction == pytest.approx(0.2)


def test_misses_in_a_row_are_told_from_misses_here_and_there():
    assert paced(20, 120, 20, 20, 20, 120, 20).longest_run == 1


def test_a_frame_that_is_never_begun_is_a_miss():
    pace = paced(450, budget_ms=1e6)
    assert (pace.frames, pace.scored, pace.misses, pace.longest_run) == (10, 3, 7, 7)
    assert len(pace.samples_ms["total"]) == 3


def profile(*arguments):
    return CliRunner().invoke(
        main, ["profile", *map(str, arguments), "--count", "2", "--warmup", "0"]
    )


def test_missed_deadlines_decide_the_exit_code_unless_they_are_allowed(tiny):
    rate = (tiny, "--fps", 1, "--minutes", 0.02)  # one frame, begun however slow this machine is
    assert profile(*rate, "--budget-ms", 1e6).exit_code == 0
    missed = profile(*rate, "--budget-ms", 1e-6)
    assert missed.exit_code == 1
    assert "1 of 1 deadlines of 1e-06 ms missed (100.000%, allowed 0.000%)" in missed.stderr
    assert "at most 1 in a row" in missed.stdout
    assert profile(*rate, "--budget-ms", 1e-6, "--allow-misses", 1).exit_code == 0


def test_the_latency_over_time_is_in_the_record_the_drawing_and_the_trace(tiny, tmp_path):
    svg, trace = tmp_path / "latency.svg", tmp_path / "trace.json"
    result = profile(
        tiny, "--fps", 50, "--minutes", 0.01, "--budget-ms", 1e6, "--json", "--svg", svg,
        "--trace", trace,
    )  # fmt: skip
    report = json.loads(result.stdout)
    assert len(report["pace"]["latencies_ms"]) == report["pace"]["scored"] <= 30
    text = "".join(ElementTree.fromstring(svg.read_text()).itertext())
    assert "50 images a second: " in text
    events = json.loads(trace.read_text())["traceEvents"]
    assert [event["args"]["name"] for event in events if event["ph"] == "M"] == [
        "tiny.edgead on onnxruntime", "at 50 images a second",
    ]  # fmt: skip
    bars = [event for event in events if event["ph"] == "X"]
    over = max(bar["ts"] + bar["dur"] for bar in bars if bar["tid"] == 1)
    assert min(bar["ts"] for bar in bars if bar["tid"] == 2) >= over


def test_a_frame_rate_without_a_budget_is_wrong_usage(tiny):
    result = profile(tiny, "--fps", 10)
    assert result.exit_code == 2
    assert "--fps needs --budget-ms" in result.stderr
