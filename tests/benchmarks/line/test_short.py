"""What benchmarks.line tries for minutes, tried for seconds: each promise is kept."""

import pytest

pytest.importorskip("paho.mqtt", reason="the extra [serve] is not installed")

from benchmarks.line.brokers import mosquitto
from benchmarks.line.full_disk import full_disk
from benchmarks.line.kills import kills
from benchmarks.line.outage import outage
from benchmarks.line.soak import soak
from benchmarks.line.swaps import swaps
from benchmarks.line.unplugs import unplugs


def test_kills_lose_and_double_nothing_that_was_acknowledged(tmp_path):
    found = kills(tmp_path, count=2, rate=10, longest_s=1.0, seed=1)
    assert found["faults"] == []
    assert found["stored"] >= found["acknowledged"] + found["files"] > 0


@pytest.mark.skipif(mosquitto() is None, reason="mosquitto is not installed")
def test_every_verdict_arrives_in_order_after_the_broker_was_gone(tmp_path):
    found = outage(tmp_path, seconds=2, rate=5)
    assert found["faults"] == []
    assert found["arrived"] == found["results"] == 30


def test_an_unplugged_camera_is_seen_and_back_and_gives_nothing_twice():
    assert unplugs(cycles=3, rate=30)["faults"] == []


def test_swaps_lose_no_image_and_damaged_artifacts_are_refused(tmp_path):
    found = swaps(tmp_path, count=2, rate=10)
    assert found["faults"] == []
    assert found["images"] > 50


def test_a_full_disk_stops_no_verdict_and_recovers(tmp_path):
    try:
        found = full_disk(tmp_path, results=15)
    except PermissionError as exc:
        pytest.skip(str(exc))
    assert found["faults"] == []
    assert found["recovered"]


def test_memory_is_read_while_images_are_judged(tmp_path):
    found = soak(tmp_path, count=20, every=5)
    assert found["faults"] == []
    assert len(found["memory_bytes"]) == 4
