"""What `edge-ad profile` measures beyond one artifact's stages: comparisons, batches, threads."""

import json
import os

import numpy as np
import pytest
from click.testing import CliRunner

from edge_ad_runtime import Detector
from edge_ad_runtime.commands.main import main
from edge_ad_runtime.engines.onnxruntime import OnnxRuntimeEngine
from edge_ad_runtime.errors import EngineError
from edge_ad_runtime.profile import latency, sweep
from edge_ad_runtime.profile.child import run_child
from edge_ad_runtime.profile.throughput import BATCHES
from edge_ad_runtime.profile.trace import TraceRow, to_trace


def run(*arguments):
    quick = ("--count", 3, "--warmup", 1)
    return CliRunner().invoke(main, ["profile", *map(str, (*arguments, *quick))])


@pytest.fixture
def lenient(artifact, set_threshold):
    """An artifact that says good to everything."""
    set_threshold(artifact, 100.0)
    return artifact


@pytest.fixture
def two_cores(monkeypatch):
    """As if this machine had no more."""
    cores = sweep.usable_cores()[:2]
    monkeypatch.setattr(sweep, "usable_cores", lambda: cores)
    return cores


def test_the_record_says_what_was_measured_on_what(tiny):
    report = json.loads(run(tiny, "--json", "--threads", 1, "--engine", "onnxruntime").stdout)
    assert (report["engine"], report["device"], report["precision"]) == (
        "onnxruntime", "cpu", "fp32",
    )  # fmt: skip
    assert report["threads"] == 1
    assert report["runtime_version"]
    assert report["machine"]["cores"] >= 1
    assert set(report["machine_state"]) == {"before", "after"}
    assert (report["compared"], report["sweep"], report["pace"]) == ([], [], None)


def test_threads_that_tune_has_chosen_are_in_the_record(artifact, monkeypatch):
    monkeypatch.setattr("edge_ad_runtime.profile.tune.ROUNDS", 1)
    CliRunner().invoke(main, ["tune", str(artifact)])
    chosen = json.loads((artifact / "device.json").read_text())["threads"]
    assert json.loads(run(artifact, "--json").stdout)["threads"] == chosen


def test_every_artifact_is_compared_on_every_engine(tiny, lenient):
    engines = ("--engine", "auto", "--engine", "onnxruntime")
    report = json.loads(run(tiny, "--compare", lenient, *engines, "--json").stdout)
    others = report["compared"]
    assert [other["artifact"] for other in others] == [tiny.name, lenient.name, lenient.name]
    assert all(len(other["samples_ms"]["total"]) == 3 for other in (report, *others))
    for other in others:
        expected = other["stages"]["total"]["p50_ms"] / report["stages"]["total"]["p50_ms"]
        assert other["ratio"] == pytest.approx(expected)
    assert [other["same_verdicts"] for other in others] == [2, 1, 1]


def test_a_comparison_is_in_alternation_image_by_image(tiny, lenient):
    report = json.loads(run(tiny, "--compare", lenient, "--json").stdout)
    starts = [*zip(report["starts_ms"], report["compared"][0]["starts_ms"], strict=True)]
    flat = [start for pair in starts for start in pair]
    assert flat == sorted(flat)


def test_a_comparison_is_one_table_side_by_side(tiny, lenient):
    text = run(tiny, "--compare", lenient).stdout
    assert "2/2       1/2" in text
    assert f"2: {lenient.name}, onnxruntime" in text
    rows = {line[:16].strip() for line in text.splitlines()}
    assert rows >= {"network p50", "search p95", "total p99", "ratio of total", "cold start"}


def test_an_engine_that_is_not_there_is_refused_before_anything_is_timed(tiny, monkeypatch):
    result = run(tiny, "--engine", "onnxruntime", "--engine", "onnxruntime-cuda")
    assert result.exit_code == 1
    assert result.stdout == ""
    assert "CUDAExecutionProvider" in result.stderr


def test_batches_that_the_engine_refuses_are_said_to_be_and_the_others_are_measured(
    tiny, monkeypatch
):
    run_network = OnnxRuntimeEngine.run

    def at_most_4(self, images):
        if len(images) > 4:
            raise EngineError("built for batches of at most 4")
        return run_network(self, images)

    monkeypatch.setattr(OnnxRuntimeEngine, "run", at_most_4)
    result = run(tiny, "--batches", "--json")
    assert result.exit_code == 0
    rows = json.loads(result.stdout)["throughput"]
    assert tuple(row["batch"] for row in rows) == BATCHES
    assert [row["images_per_second"] is None for row in rows] == [False] * 3 + [True] * 2
    assert rows[-1]["error"] == "built for batches of at most 4"
    text = run(tiny, "--batches").stdout
    assert "refused: built for batches of at most 4" in text
    assert text.count("images/s") == len(BATCHES)


def test_the_sweep_goes_from_1_to_all_cores_unpinned_and_pinned(tiny, two_cores):
    before, cores = os.sched_getaffinity(0), two_cores
    result = run(tiny, "--sweep", "--json")
    points = json.loads(result.stdout)["sweep"]
    assert [(point["threads"], point["cores"]) for point in points] == [
        (n, pinned) for n in range(1, len(cores) + 1) for pinned in (None, cores[:n])
    ]
    assert all(0 < point["p50_ms"] <= point["p99_ms"] for point in points)
    assert os.sched_getaffinity(0) == before


def test_a_pinned_process_has_its_cores_before_anything_is_imported(
    tiny, good_image, two_cores, monkeypatch
):
    bound = sweep._TOTALS.split("from itertools")[0]
    code = bound + "print(json.dumps([len(os.sched_getaffinity(0))]))"
    monkeypatch.setattr(sweep, "_TOTALS", code)
    points = sweep.sweep_threads(Detector.load(tiny), [good_image], count=1, warmup=0)
    everything = len(two_cores)
    assert [point.p50_ms for point in points] == [
        n for threads in range(1, everything + 1) for n in (everything, threads)
    ]


def test_the_cold_start_is_of_the_same_engine_and_threads(tiny, good_image, monkeypatch):
    jobs = []

    def recorded(code, job):
        jobs.append(job)
        return run_child(code, job)

    monkeypatch.setattr(latency, "run_child", recorded)
    detector = Detector.load(tiny, engine="onnxruntime", threads=1)
    monkeypatch.setattr(detector.engine, "name", "openvino-of-tomorrow")
    with pytest.raises(EngineError, match="engine is 'openvino-of-tomorrow'"):
        latency.measure_latency([detector], [good_image], count=1, warmup=0)
    assert (jobs[0]["engine"], jobs[0]["threads"]) == ("openvino-of-tomorrow", 1)


def test_peak_memory_is_the_fresh_process_and_not_what_started_it(tiny, good_image):
    held = np.ones(60_000_000)  # 480 MB that are really there
    (found,) = latency.measure_latency([Detector.load(tiny)], [good_image], count=1, warmup=0)
    assert 1e7 < found.peak_memory_bytes < held.nbytes


def test_a_trace_holds_every_stage_of_every_image_inside_its_image(tiny, tmp_path):
    file = tmp_path / "traces/profile.json"
    assert run(tiny, "--compare", tiny, "--trace", file).exit_code == 0
    content = json.loads(file.read_text())
    names = [e["args"]["name"] for e in content["traceEvents"] if e["ph"] == "M"]
    assert names == ["tiny.edgead on onnxruntime"] * 2
    bars = [event for event in content["traceEvents"] if event["ph"] == "X"]
    assert len(bars) == 2 * 3 * 6
    for image, *stages in (bars[i : i + 6] for i in range(0, len(bars), 6)):
        assert [stage["name"] for stage in stages] == [
            *("decode", "preprocess", "network", "search", "postprocess")
        ]
        assert stages[0]["ts"] == image["ts"]
        end = image["ts"] + image["dur"]
        assert stages[-1]["ts"] + stages[-1]["dur"] == pytest.approx(end)
        assert {(bar["pid"], bar["tid"]) for bar in stages} == {(image["pid"], image["tid"])}


def test_times_in_a_trace_are_microseconds():
    row = TraceRow(name="x", starts_ms=[2.0], samples_ms={"network": [1.5], "total": [1.5]})
    _, image, network = json.loads(to_trace([row]))["traceEvents"]
    assert (image["ts"], image["dur"]) == (network["ts"], network["dur"]) == (2000, 1500)
