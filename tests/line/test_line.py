"""From an image to a stored result: scores, errors, triggers, swaps, reload, restart."""

import json
import shutil
import sqlite3
import threading
import time
from dataclasses import replace

import numpy as np
import pytest

from edge_ad_line.line import Line
from edge_ad_runtime import Detector
from edge_ad_runtime.artifact.packed import pack
from edge_ad_runtime.errors import ArtifactError, ConfigError, EdgeADError
from edge_ad_runtime.images import decode_image

FOLDER = {"kind": "folder", "name": "top", "every_ms": 5}


def test_a_score_is_the_detectors_to_the_last_digit_and_is_stored_first(
    settings, opened, stain, tiny
):
    line = opened(settings())
    result = line.score("plate", stain, part_id="7")
    with Detector.load(tiny, threads=1) as detector:
        expected = detector.predict(decode_image(stain))
    assert (result.score, result.verdict) == (expected.score, "anomalous")
    assert result.boxes == [region.to_record() for region in expected.regions]
    assert line.store.result(result.id)["score"] == result.score
    assert (result.seq, result.part_id, result.stored) == (1, "7", True)
    assert line.score("plate", decode_image(stain)).score == result.score


@pytest.mark.parametrize(
    "content", [b"", b"nonsense", b"\x89PNG\r\n\x1a\n", np.zeros((3, 3, 5), np.uint8)]
)
def test_what_is_no_image_is_an_error_and_never_good(settings, opened, content):
    result = opened(settings()).score("plate", content)
    assert (result.verdict, result.reason, result.score) == ("error", "unreadable", None)
    assert result.stored


def test_a_key_that_had_a_result_gets_the_same_again(settings, opened, good):
    line = opened(settings())
    first = line.score("plate", good, idempotency_key="k")
    assert line.score("plate", good, idempotency_key="k").id == first.id
    answers = []
    threads = [
        threading.Thread(
            target=lambda: answers.append(line.score("plate", good, idempotency_key="two"))
        )
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({answer.id for answer in answers}) == 1
    assert len(line.store.results()) == 2


def test_an_unknown_part_is_named_with_those_there_are(settings, opened, good):
    line = opened(settings())
    with pytest.raises(ConfigError, match="no part 'lid'; there are: plate"):
        line.score("lid", good)
    with pytest.raises(ConfigError, match="has no camera"):
        line.trigger("plate")


def test_files_of_a_folder_become_results_in_order_once(
    settings, opened, tmp_path, good, stain, wait_until
):
    spool = tmp_path / "spool"
    spool.mkdir()
    for i in range(12):  # more than may wait: files wait where they are
        (spool / f"{i:02}.png").write_bytes(stain if i % 3 else good)
    config = settings({"camera": "top", "queue": 2}, camera=[{**FOLDER, "folder": str(spool)}])
    line = opened(config)
    wait_until(lambda: len(line.store.results()) == 12)
    verdicts = [r["verdict"] for r in reversed(line.store.results())]
    assert verdicts == ["anomalous" if i % 3 else "good" for i in range(12)]
    line.drain()
    line.close()
    again = Line.open(config)
    again.start()
    time.sleep(0.1)
    again.drain()
    assert [r["seq"] for r in again.store.results()] == list(range(12, 0, -1))
    again.close()


def test_an_image_is_kept_as_the_camera_gave_it(settings, opened, good, stain, wait_until):
    line = opened(settings())
    found = line.score("plate", stain)
    pixels = line.score("plate", decode_image(stain))
    wait_until(lambda: line.store.image(pixels.id) is not None)
    assert line.store.image(found.id) == (stain, "image/png")
    content, _ = line.store.image(pixels.id)
    assert np.array_equal(decode_image(content), decode_image(stain))
    assert line.store.result(found.id)["image"] == f"/v1/results/{found.id}/image"


def test_the_last_images_can_be_seen_also_where_they_are_not_kept(settings, opened, good):
    line = opened(settings(store={"reserve_bytes": 0, "keep": {"near": {"bytes": 0, "every": 99}}}))
    _, second = (line.score("plate", good) for _ in range(2))
    assert second.image is None
    assert line.image(second.id) == (good, "image/png")
    assert line.image("nobody") is None


def test_scores_that_shift_are_an_alarm_that_is_counted_and_survives_a_restart(
    settings, opened, good, monkeypatch
):
    line = opened(settings())
    monkeypatch.setattr("edge_ad_line.drift.ALARM_LOG10", 0.3)
    for _ in range(60):
        line.score("plate", good)
    drift = line.status()["parts"]["plate"]["drift"]
    assert drift["parts"] == 60
    assert drift["alarms"] > 0
    count = line.metrics.registry.get_sample_value("edge_ad_drift_alarms_total", {"part": "plate"})
    assert count == drift["alarms"]
    line.drain()
    line.close()
    assert opened(settings()).status()["parts"]["plate"]["drift"] == drift


def test_a_queue_that_is_full_is_an_error_that_is_counted(settings, opened, good, wait_until):
    line = opened(settings({"queue": 1}))
    with line.processor:  # the detector is busy
        first = threading.Thread(target=line.score, args=("plate", good))
        second = threading.Thread(target=line.score, args=("plate", good))
        first.start()
        wait_until(lambda: line.parts["plate"].is_alive and not line.parts["plate"].waiting)
        second.start()
        wait_until(lambda: line.parts["plate"].waiting == 1)
        result = line.score("plate", good)
    assert (result.verdict, result.reason, result.stored) == ("error", "overrun", True)
    first.join()
    second.join()
    assert [r["seq"] for r in line.store.results()] == [3, 2, 1]


def http_line(settings, server, **part):
    camera = {"kind": "http", "name": "top", "url": server.url, "every_ms": 20, "timeout_ms": 300}
    return settings({"camera": "top", "deadline_ms": 700, **part}, camera=[camera])


def test_a_trigger_is_answered_with_a_picture_taken_after_it(settings, opened, server, stain):
    server.answer = lambda request: (200, "image/png", stain)
    line = opened(http_line(settings, server))
    result = line.trigger("plate", part_id="9")
    assert (result.verdict, result.part_id, result.camera) == ("anomalous", "9", "top")
    assert len(line.store.results()) == 1


def test_a_trigger_of_a_lost_camera_is_an_error_at_its_deadline(settings, opened, server, good):
    server.stop()
    line = opened(http_line(settings, server))
    begun = time.monotonic()
    result = line.trigger("plate")
    assert 0.6 < time.monotonic() - begun < 2
    assert (result.verdict, result.reason, result.stored) == ("error", "camera", True)
    assert not line.is_ready()
    assert line.status()["state"] == "degraded"


def test_a_dead_lamp_and_a_frozen_camera_are_errors_and_never_good(
    settings, opened, server, good, stain
):
    dark = np.asarray(decode_image(good) // 8)
    import cv2

    content = cv2.imencode(".png", dark)[1].tobytes()
    server.answer = lambda request: (200, "image/png", content)
    line = opened(http_line(settings, server))
    assert line.trigger("plate").reason == "dark"
    server.answer = lambda request: (200, "image/png", good)
    reasons = [line.trigger("plate").reason for _ in range(6)]
    assert "frozen" in reasons
    assert line.status()["cameras"]["top"]["fault"] == "frozen"


def test_a_staged_artifact_judges_after_it_is_promoted_and_not_before(
    settings, opened, stain, other, tmp_path, tiny
):
    line = opened(settings())
    before = line.score("plate", stain)
    packed = tmp_path / "other.edgead.zip"
    pack(other, packed)
    sha256 = line.upload("plate", packed, user="ann")
    assert line.score("plate", stain).artifact == before.artifact
    line.promote("plate", sha256, user="ann", reason="fewer false rejects")
    after = line.score("plate", stain)
    assert (after.artifact, after.threshold, after.score) == (sha256, 0.9, before.score)
    line.drain()
    line.close()
    again = opened(settings())  # the settings name the old one, and did so before
    assert again.score("plate", stain).artifact == sha256
    again.roll_back("plate", user="bob", reason="it lets scratches pass")
    assert again.score("plate", stain).artifact == before.artifact
    states = {row["sha256"]: row["state"] for row in again.store.artifacts("plate")}
    assert states == {sha256: "previous", before.artifact: "live"}
    assert [row["action"] for row in again.store.audit()] == [
        "configure", "stage", "promote", "roll back",
    ]  # fmt: skip
    with pytest.raises(ArtifactError, match="no artifact before"):
        again.roll_back("plate", user="bob", reason="")


def half_copied(folder):
    (folder / "bank.npy").unlink()


def flipped(folder):
    content = bytearray((folder / "network.onnx").read_bytes())
    content[len(content) // 2] ^= 1
    (folder / "network.onnx").write_bytes(content)


def another_score(folder):
    """Files and hashes agree, and the reference's score is another one than this machine's."""
    path = folder / "reference/values.npz"
    with np.load(path) as found:
        values = dict(found)
    values["0.score"] = values["0.score"] * 2
    np.savez(path, **values)


@pytest.mark.parametrize("damage", [half_copied, flipped, another_score])
def test_a_damaged_artifact_is_refused_and_the_old_one_goes_on(
    settings, opened, stain, other, damage, resign, reseal_file
):
    line = opened(settings())
    before = line.score("plate", stain)
    damage(other)
    if damage is another_score:
        reseal_file(other, "reference/values.npz")
    with pytest.raises(ArtifactError):
        line.upload("plate", other, user="ann")
    assert line.score("plate", stain).artifact == before.artifact
    assert not [r for r in line.store.artifacts("plate") if r["state"] == "staged"]
    text = line.metrics.registry.get_sample_value
    assert text("edge_ad_swaps_total", {"part": "plate", "result": "refused"}) == 1


def test_another_configured_artifact_takes_over_and_a_damaged_one_does_not(
    settings, opened, stain, other
):
    line = opened(settings())
    old = line.score("plate", stain).artifact
    line.drain()
    line.close()
    taken = opened(settings({"artifact": str(other)}))
    new = taken.score("plate", stain).artifact
    assert new != old
    taken.drain()
    taken.close()
    shutil.rmtree(other)  # the line has a copy of its own
    again = opened(settings({"artifact": str(other)}))
    assert again.score("plate", stain).artifact == new


def test_an_image_that_was_in_hand_becomes_an_error_at_the_next_start(settings, opened, good):
    line = opened(settings())
    line.score("plate", good)
    line.store.take_in_hand(
        "plate", {"part": "plate", "part_id": "8", "camera": None, "captured_at": "then"}
    )
    line.drain()
    line.close()
    again = opened(settings())
    newest, _ = again.store.results()
    assert (newest["reason"], newest["part_id"], newest["seq"]) == ("interrupted", "8", 2)
    assert again.store.in_hand() == []


def test_a_reload_takes_all_or_nothing(settings, opened, tmp_path, good, stain, other, wait_until):
    line = opened(settings())
    first = line.score("plate", stain)
    with pytest.raises(EdgeADError):
        line.reload(settings({"artifact": str(tmp_path / "nobody.edgead"), "name": "lid"}))
    assert list(line.parts) == ["plate"]
    with pytest.raises(ConfigError, match="takes a restart"):
        line.reload(replace(settings(), device=replace(line.config.device, site="moon")))
    spool = tmp_path / "spool"
    spool.mkdir()
    (spool / "a.png").write_bytes(good)
    out = tmp_path / "out.jsonl"
    line.reload(
        settings(
            {"artifact": str(other), "camera": "top"},
            camera=[{**FOLDER, "folder": str(spool)}],
            sink=[{"kind": "json-lines", "name": "lines", "file": str(out)}],
        )
    )
    wait_until(lambda: out.exists() and out.read_text().endswith("\n"))
    line_of_file = json.loads(out.read_text().splitlines()[0])
    assert line_of_file["camera"] == "top"
    assert line.score("plate", stain).artifact != first.artifact
    line.reload(settings())
    assert not line.status()["cameras"]
    assert not line.status()["sinks"]


def test_a_line_that_stops_finishes_what_waits_and_takes_nothing_more(settings, opened, good):
    line = opened(settings())
    answers = []
    threads = [
        threading.Thread(target=lambda: answers.append(line.score("plate", good))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    while len(line.parts["plate"]._intake) + len(answers) < 1:
        time.sleep(0.001)
    line.drain()
    for thread in threads:
        thread.join()
    assert [answer.stored for answer in answers] == [True] * len(answers)
    with pytest.raises(EdgeADError, match="is stopping"):
        line.score("plate", good)


def test_a_disk_that_fails_does_not_stop_verdicts(settings, opened, stain, tmp_path, wait_until):
    out = tmp_path / "out.jsonl"
    line = opened(settings(sink=[{"kind": "json-lines", "name": "lines", "file": str(out)}]))
    line.score("plate", stain)
    wait_until(lambda: out.exists())

    class Full:
        def __init__(self, *, durable=True):
            """Neither kind of transaction begins."""

        def __enter__(self):
            raise sqlite3.OperationalError("database or disk is full")

        def __exit__(self, *arguments):
            return False

    writing, line.store.database.writing = line.store.database.writing, Full
    result = line.score("plate", stain)
    assert (result.verdict, result.stored, result.seq) == ("anomalous", False, None)
    wait_until(lambda: len(out.read_text().splitlines()) == 2)
    assert line.store.status()["failures"]["result"] == 1
    line.store.database.writing = writing
    assert line.score("plate", stain).seq == 2


def test_a_network_that_fails_is_an_error_and_the_next_image_is_judged(settings, opened, good):
    line = opened(settings())
    detector = line.parts["plate"].detector
    predict, detector.predict = detector.predict, None
    result = line.score("plate", good)
    assert (result.verdict, result.reason) == ("error", "network")
    detector.predict = predict
    assert line.score("plate", good).verdict == "good"
