"""The native API: scores, triggers, results, pictures, reviews."""

import json
from http.client import HTTPConnection

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from edge_ad_runtime.commands.main import main
from edge_ad_runtime.images import decode_image

SCORE = "/v1/parts/plate/score"


def test_a_score_over_http_is_the_commands_to_the_last_digit(served, stain, tiny, tmp_path):
    client = served()
    answer = client.post(SCORE, content=stain, headers={"Part-Id": "Nr 7"})
    (tmp_path / "stain.png").write_bytes(stain)
    command = ["score", str(tiny), str(tmp_path / "stain.png"), "--json", "--threads", "1"]
    printed = json.loads(CliRunner().invoke(main, command).stdout)
    assert answer.status_code == 200
    found = answer.json()
    assert found["score"] == printed["score"]
    assert (found["threshold"], found["verdict"]) == (printed["threshold"], printed["verdict"])
    assert found["boxes"] == printed["regions"]
    assert (found["part_id"], found["seq"], found["stored"]) == ("Nr 7", 1, True)
    assert client.get(f"/v1/results/{found['id']}").json()["score"] == printed["score"]


def test_bytes_that_are_no_image_are_a_stored_error_and_no_200(served):
    client = served()
    answer = client.post(SCORE, content=b"not an image")
    assert (answer.status_code, answer.json()["verdict"]) == (422, "error")
    assert "not a PNG" in answer.json()["error"]
    assert client.get("/v1/results").json()["results"][0]["reason"] == "unreadable"


def test_the_same_idempotency_key_gives_the_same_result(served, good):
    client = served()
    first, second = (
        client.post(SCORE, content=good, headers={"Idempotency-Key": "a"}).json() for _ in range(2)
    )
    assert first["id"] == second["id"]
    assert len(client.get("/v1/results").json()["results"]) == 1


def test_results_are_found_by_verdict_and_after_one_that_is_known(served, good, stain):
    client = served()
    ids = [client.post(SCORE, content=image).json()["id"] for image in (good, stain, good)]

    def found(**query):
        return [r["id"] for r in client.get("/v1/results", params=query).json()["results"]]

    assert found() == ids[::-1]
    assert found(verdict="anomalous") == [ids[1]]
    assert found(after=ids[0]) == ids[1:]
    assert found(before=ids[2], limit=1) == [ids[1]]
    assert found(part="lid") == []


@pytest.mark.parametrize(
    "query", ["limit=-1", "limit=5000", "limit=x", "verdict=fine", "colour=red", "limit=1&limit=2"]
)
def test_a_query_that_is_wrong_is_refused_with_a_reason(served, query):
    answer = served().get(f"/v1/results?{query}")
    assert answer.status_code == 400
    assert answer.json()["error"]


def test_an_image_comes_back_byte_by_byte_and_smaller_for_eyes(served, stain, wait_until):
    client = served()
    found = client.post(SCORE, content=stain).json()
    url = f"/v1/results/{found['id']}/image"
    wait_until(lambda: client.get(url).status_code == 200)
    assert client.get(url).content == stain
    assert client.get(url).headers["content-type"] == "image/png"
    small = client.get(url, params={"width": 40})
    assert small.headers["content-type"] == "image/jpeg"
    assert decode_image(small.content).shape[1] == 40
    assert client.get(url, params={"width": 99999}).status_code == 400


def test_an_overlay_is_drawn_by_the_artifact_that_has_judged(
    served, stain, wait_until, other, monkeypatch
):
    client = served()
    found = client.post(SCORE, content=stain).json()
    wait_until(lambda: client.get(f"/v1/results/{found['id']}/image").status_code == 200)
    overlay = client.get(f"/v1/results/{found['id']}/overlay")
    assert overlay.headers["content-type"] == "image/jpeg"
    drawn, image = decode_image(overlay.content), decode_image(stain)
    assert np.abs(drawn.astype(int) - cv2.resize(image, drawn.shape[1::-1])).max() > 80
    sha256 = client.line.upload("plate", other, user="test")
    client.line.promote("plate", sha256, user="test", reason="test")
    second = client.post(SCORE, content=stain).json()
    assert second["artifact"] == sha256
    client.line.roll_back("plate", user="test", reason="test")
    refused = client.get(f"/v1/results/{second['id']}/overlay")
    assert refused.status_code == 409
    assert "another artifact" in refused.json()["error"]


def test_a_review_is_kept_beside_the_verdict(served, stain, wait_until):
    client = served()
    found = client.post(SCORE, content=stain).json()
    wait_until(lambda: client.get("/v1/review").json()["results"])
    url = f"/v1/results/{found['id']}/review"
    reviewed = client.post(url, json={"label": "good", "reason": "dust"}).json()
    assert reviewed["verdict"] == "anomalous"
    assert reviewed["review"]["label"] == "good"
    assert reviewed["review"]["user"] == "local"
    assert client.get("/v1/review").json()["results"] == []
    assert client.post(url, json={"label": "fine"}).status_code == 400
    assert client.post(url, json={"label": "good", "x": "y"}).status_code == 400
    assert client.post(url, content=b"[").status_code == 400


def test_a_trigger_asks_the_camera(served, server, good):
    server.answer = lambda request: (200, "image/png", good)
    camera = {"kind": "http", "name": "top", "url": f"{server.url}/x.png"}
    client = served({"camera": "top", "check_camera": False}, camera=[camera])
    answer = client.post("/v1/parts/plate/trigger", headers={"Part-Id": "8"})
    assert (answer.status_code, answer.json()["part_id"]) == (200, "8")
    server.stop()
    lost = client.post("/v1/parts/plate/trigger")
    assert (lost.status_code, lost.json()["reason"]) == (503, "camera")


@pytest.mark.parametrize(
    "path",
    ["/v1/parts/lid/artifact", "/v1/results/0", "/v1/results/0/image", "/nothing", "/static/x"],
)
def test_what_is_not_there_is_404_with_words(served, path):
    answer = served().get(path)
    assert answer.status_code == 404
    assert answer.json()["error"]


def test_a_status_says_how_the_line_is(served):
    client = served()
    assert client.get("/v1/status").json()["parts"]["plate"]["artifact"]
    assert client.get("/v2/health/live").status_code == 200
    assert client.get("/v2/health/ready").status_code == 200


def test_a_lost_camera_makes_the_line_not_ready_and_leaves_it_alive(served):
    camera = {
        "kind": "http",
        "name": "top",
        "url": "http://127.0.0.1:9/x.png",
        "mode": "free-running",
    }
    client = served({"camera": "top"}, camera=[camera])
    assert client.get("/v2/health/live").status_code == 200
    assert client.get("/v2/health/ready").status_code == 503
    assert client.get("/v2/health/ready").json() == {"ready": False}


def test_a_client_that_hangs_up_in_the_middle_harms_nobody(served, good):
    client = served()
    connection = HTTPConnection("127.0.0.1", client.base_url.port)
    connection.putrequest("POST", SCORE)
    connection.putheader("Content-Length", "100000")
    connection.endheaders(b"half")
    connection.close()
    assert client.post(SCORE, content=good).status_code == 200
    assert len(client.get("/v1/results").json()["results"]) == 1
