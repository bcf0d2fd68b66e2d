"""What must not harm a line: hostile bodies, more than it takes, requests that are no HTTP."""

import socket
import threading

import pytest

from benchmarks.line_http import hostile

SCORE = "/v1/parts/plate/score"
LIMIT = 1_500_000


def test_hostile_bodies_get_4xx_and_the_line_is_still_ready(served, good):
    client = served(web={"most_body_bytes": LIMIT})
    for kind, (path, headers, body) in hostile.bodies(good, count=90):
        answer = client.post(path, headers=headers, content=body)
        assert 400 <= answer.status_code < 500, (kind, answer.status_code, answer.text)
        assert answer.json()["error"], kind
    assert client.get("/v2/health/ready").status_code == 200
    assert client.post(SCORE, content=good).status_code == 200
    verdicts = {r["verdict"] for r in client.get("/v1/results?limit=1000").json()["results"][1:]}
    assert verdicts == {"error"}


def test_a_body_without_a_length_is_cut_at_the_limit(served, good):
    client = served(web={"most_body_bytes": LIMIT})
    sent = []

    def chunks():
        for _ in range(100):
            sent.append(1)
            yield bytes(100_000)

    answer = client.post(SCORE, content=chunks())
    assert answer.status_code == 413
    assert client.post(SCORE, content=good).status_code == 200


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET / HTTP/1.1\r\n\r\n",
        b"POST " + b"/" * 100_000 + b" HTTP/1.1\r\n\r\n",
        b"POST /v1/parts/plate/score HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"POST /v1/parts/plate/score HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n"
        b"Content-Length: 6\r\n\r\nhello",
        b"GET /static/../access.py HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /static/%2e%2e/access.py HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /static//etc/passwd HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ],
)
def test_what_is_no_request_of_ours_is_refused(served, good, request_bytes):
    client = served()
    with socket.create_connection(("127.0.0.1", client.base_url.port), timeout=10) as connection:
        connection.sendall(request_bytes)
        answer = connection.recv(1000)
    assert answer.startswith((b"HTTP/1.1 4", b"")) and not answer.startswith(b"HTTP/1.1 2")
    assert b"HTTP/1.1 5" not in answer
    assert client.post(SCORE, content=good).status_code == 200


@pytest.mark.parametrize("name", ["Part-Id", "Idempotency-Key"])
@pytest.mark.parametrize("value", [b"", b"x" * 201, b"a\x80b", b"a\tb"])
def test_a_header_of_ours_that_is_wrong_is_400(served, good, name, value):
    answer = served().post(SCORE, content=good, headers={name: value})
    assert answer.status_code == 400


def test_requests_above_the_limit_are_told_to_come_again(served, good, monkeypatch):
    client, begun, go_on = served(), threading.Semaphore(0), threading.Event()
    score = client.line.score

    def slow(*arguments, **settings):
        begun.release()
        assert go_on.wait(20)
        return score(*arguments, **settings)

    monkeypatch.setattr(client.line, "score", slow)
    statuses = []
    threads = [
        threading.Thread(
            target=lambda: statuses.append(client.post(SCORE, content=good).status_code)
        )
        for _ in range(10)
    ]
    for thread in threads:
        thread.start()
    assert begun.acquire(timeout=20)
    while len(statuses) < 2:  # two of ten, as eight may wait
        assert not go_on.wait(0.01)
    assert client.get("/v1/status").status_code == 200
    go_on.set()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [200] * 8 + [503] * 2


def test_a_bug_of_ours_tells_nobody_what_is_inside(served, good, monkeypatch, caplog):
    client = served()

    def fail(*arguments, **settings):
        raise RuntimeError("the secret")

    monkeypatch.setattr(client.line, "score", fail)
    answer = client.post(SCORE, content=good)
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert "the secret" in caplog.text
