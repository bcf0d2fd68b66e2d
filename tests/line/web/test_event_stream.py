"""Server-sent events, over a real connection."""

import json
import threading
from contextlib import contextmanager

SCORE = "/v1/parts/plate/score"


@contextmanager
def listening(client, headers=None):
    """The events of a stream, one (id, kind, record) for each that is asked."""
    with client.stream("GET", "/v1/events", headers=headers or {}) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = answer.iter_lines()
        assert next(lines) == "retry: 1000"

        def events():
            fields = {}
            for line in lines:
                name, _, value = line.partition(": ")
                if name in ("id", "event", "data"):
                    fields[name] = value
                if not line and "data" in fields:
                    yield int(fields["id"]), fields["event"], json.loads(fields["data"])
                    fields = {}

        yield events()


def results(events):
    return ((number, record) for number, kind, record in events if kind == "result")


def test_a_result_is_told_as_it_was_answered(served, good):
    client = served()
    with listening(client) as events:
        answers = []
        post = threading.Thread(
            target=lambda: answers.append(client.post(SCORE, content=good).json())
        )
        post.start()
        _, told = next(results(events))
        post.join()
    assert told == answers[0]


def test_a_listener_that_comes_back_gets_what_it_missed(served, good):
    client = served()
    first = client.post(SCORE, content=good).json()
    with listening(client, {"Last-Event-ID": "0"}) as events:
        assert next(events)[1] == "gap"
        number, told = next(results(events))
    assert told["id"] == first["id"]
    missed = [client.post(SCORE, content=good).json()["id"] for _ in range(3)]
    with listening(client, {"Last-Event-ID": str(number)}) as events:
        assert [next(results(events))[1]["id"] for _ in range(3)] == missed


def test_a_last_event_id_that_is_no_number_is_refused(served):
    assert served().get("/v1/events", headers={"Last-Event-ID": "x"}).status_code == 400


def test_listeners_beyond_the_limit_are_refused_and_the_others_go_on(served, monkeypatch):
    from edge_ad_line.web import event_stream

    monkeypatch.setattr(event_stream, "MOST_LISTENERS", 1)
    client = served()
    with listening(client):
        answer = client.get("/v1/events")
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
        assert client.get("/v1/status").status_code == 200


def test_a_stream_ends_with_the_line(served):
    client = served()
    with listening(client) as events:
        client.line.events.close()
        assert list(results(events)) == []
