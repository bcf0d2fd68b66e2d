import json
from dataclasses import replace

import pytest
from click.testing import CliRunner

from edge_ad_runtime import Detector
from edge_ad_runtime.commands.main import main
from edge_ad_runtime.device import machine
from edge_ad_runtime.device.settings import read_device_settings, write_device_settings
from edge_ad_runtime.errors import ArtifactError, EdgeADError
from edge_ad_runtime.prediction import Prediction
from edge_ad_runtime.profile.tune import tune


@pytest.fixture
def tuned(artifact, monkeypatch):
    monkeypatch.setattr("edge_ad_runtime.profile.tune.ROUNDS", 2)
    tune(artifact)
    return artifact


def test_it_writes_the_fastest_of_all_options_and_nothing_else(artifact, monkeypatch):
    monkeypatch.setattr("edge_ad_runtime.profile.tune.ROUNDS", 2)
    before = {p.name: p.stat().st_mtime_ns for p in artifact.rglob("*")}
    report = tune(artifact)
    after = {p.name: p.stat().st_mtime_ns for p in artifact.rglob("*")}
    assert set(after) - set(before) == {"device.json"}
    assert all(after[name] == before[name] for name in before if name != artifact.name)
    fastest = min(report.options, key=lambda option: option.ms)
    assert (report.settings.search, report.settings.threads) == (fastest.search, fastest.threads)
    assert {option.search for option in report.options} == {"artifact", "exact"}


def test_what_it_found_is_used_and_the_scores_stay(tuned, good_image):
    artifact = Detector.load(tuned).artifact
    settings = read_device_settings(artifact)
    assert settings is not None
    scores = set()
    for search in ("artifact", "exact"):
        write_device_settings(artifact, replace(settings, search=search))
        detector = Detector.load(tuned)
        assert detector.search == ("hnsw" if search == "artifact" else "exact")
        scores.add(round(detector.predict(good_image).score, 5))
    assert len(scores) == 1
    assert Detector.load(tuned, search="artifact").search == "hnsw"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"cpu": "another"}, "of another, this machine has"),
        ({"cores": 1000}, "was made on 1000 cores"),
        ({"artifact_sha256": "0"}, "was made for another artifact"),
        ({"search": "ivf"}, "search: expected one of"),
        ({"colour": "red"}, "unknown key 'colour'"),
    ],
)
def test_settings_of_another_machine_or_artifact_are_refused(tuned, change, message):
    path = tuned / "device.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(ArtifactError, match=message) as caught:
        Detector.load(tuned)
    assert "run edge-ad tune again, or delete it" in str(caught.value)
    path.unlink()
    assert Detector.load(tuned).search == "hnsw"


def test_a_machine_that_computes_two_scores_gets_no_settings(artifact, monkeypatch):
    monkeypatch.setattr("edge_ad_runtime.profile.tune.ROUNDS", 1)
    predict = Detector.predict

    def unreliable(self, image) -> Prediction:
        found = predict(self, image)
        return replace(found, score=found.score * (1.01 if self.search == "exact" else 1))

    monkeypatch.setattr(Detector, "predict", unreliable)
    with pytest.raises(EdgeADError, match="does not compute reliably, nothing was written"):
        tune(artifact)
    assert not (artifact / "device.json").exists()


@pytest.mark.parametrize(
    ("cores", "threads"), [(1, [1]), (2, [1, 2]), (3, [1, 3]), (4, [1, 2, 4]), (64, [1, 32, 64])]
)
def test_tuning_says_what_it_measured(artifact, monkeypatch, cores, threads):
    monkeypatch.setattr("edge_ad_runtime.profile.tune.ROUNDS", 1)
    monkeypatch.setattr(
        "edge_ad_runtime.profile.tune.machine", lambda: {**machine(), "cores": cores}
    )
    result = CliRunner().invoke(main, ["tune", str(artifact)])
    assert result.exit_code == 0
    assert result.stdout.count("ms per image") == len(threads) * 2
    assert all(result.stdout.count(f"search, {n} threads ") == 2 for n in threads)
    assert result.stdout.count("<- written to device.json") == 1


def test_what_has_clearly_lost_is_timed_no_further(artifact, monkeypatch):
    """Exact search of a large bank takes a second, which need not be learned fifteen times."""
    asked = {"artifact": 0, "exact": 0}
    predict = Detector.predict

    def slow(self, image, **more):
        asked[self.options.search] += 1
        found = predict(self, image, **more)
        ms = 1000.0 if self.options.search == "exact" else 10.0
        return replace(found, timings_ms={**found.timings_ms, "total": ms})

    monkeypatch.setattr(Detector, "predict", slow)
    report = tune(artifact)
    assert asked["exact"] < asked["artifact"] / 4
    assert {option.search for option in report.options} == {"artifact", "exact"}
    assert report.settings.search == "artifact"


def test_no_round_begins_when_the_time_is_over(artifact, monkeypatch):
    monkeypatch.setattr("edge_ad_runtime.profile.tune._BUDGET_S", 0.0)
    rounds = []
    tune(artifact, tick=lambda: rounds.append(1))
    assert len(rounds) == 2
