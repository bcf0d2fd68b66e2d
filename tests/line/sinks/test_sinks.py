"""Every message arrives, in order, whatever becomes of the other side meanwhile."""

import json
import shutil
import socket
import subprocess
import time

import pytest

from benchmarks.line.brokers import Broker, Listener, mosquitto
from edge_ad_line.config import DeviceConfig, JsonLinesSink, MqttSink, WebhookSink
from edge_ad_line.sinks import RefusedError, SinkError, make_sink
from edge_ad_line.sinks.dispatcher import Dispatcher
from edge_ad_line.store.outbox import Message
from edge_ad_runtime.errors import ConfigError

DEVICE = DeviceConfig(site="plant", name="dev", data="/nowhere")


def message(n, kind="result", **more):
    return Message(n=n, kind=kind, record={"id": f"r{n}", "part": "plate", "seq": n, **more})


@pytest.fixture
def broker(tmp_path):
    if mosquitto() is None:
        pytest.skip("mosquitto is not installed")
    found = Broker(tmp_path)
    yield found
    found.stop()


@pytest.fixture
def listener(broker):
    found = Listener(broker.port)
    yield found
    found.close()


def mqtt(broker, **more):
    config = MqttSink(kind="mqtt", name="broker", host="127.0.0.1", port=broker.port, **more)
    return make_sink(config, DEVICE)


def send(sink, messages, timeout_s=10):
    """Send as a dispatcher does: what has not arrived is given again."""
    until = time.monotonic() + timeout_s
    while messages:
        try:
            sink.send(messages)
            return
        except SinkError as exc:
            messages = messages[exc.arrived :]
            assert time.monotonic() < until, exc
            time.sleep(0.05)


def test_a_result_is_a_cloud_event_on_its_parts_topic(broker, listener, wait_until):
    sink = mqtt(broker)
    sink.open()
    send(sink, [message(1, part_id="7", captured_at="2026-11-27T10:00:00.000Z")])
    wait_until(listener.records)
    (event,) = listener.records()
    assert {"edge_ad/v1/plant/dev/plate/result"} < {topic for topic, *_ in listener.heard}
    assert event["data"]["seq"] == 1
    assert {key: event[key] for key in event if key != "data"} == {
        "specversion": "1.0", "id": "r1", "source": "/edge_ad/plant/dev",
        "type": "edge_ad.result.v1", "time": "2026-11-27T10:00:00.000Z", "subject": "7",
        "datacontenttype": "application/json",
    }  # fmt: skip
    sink.close()


def test_messages_arrive_in_order_over_the_brokers_restart(broker, listener, wait_until):
    sink = mqtt(broker)
    sink.open()
    send(sink, [message(n) for n in range(30)])
    broker.stop()
    waiting = [message(n) for n in range(30, 60)]
    with pytest.raises(SinkError):
        sink.send(waiting)
    broker.start()
    send(sink, waiting, timeout_s=30)
    # the broker may tell the listener again what it has not acknowledged
    heard = lambda: list(dict.fromkeys(e["data"]["seq"] for e in listener.records()))  # noqa: E731
    wait_until(lambda: len(heard()) == 60, timeout_s=30)
    sink.close()
    assert heard() == list(range(60))


def test_the_status_is_retained_and_a_will_tells_of_a_death(broker, listener, wait_until):
    sink = mqtt(broker, keepalive_s=1)
    sink.open()
    states = lambda: [record["state"] for record in listener.records("/status")]  # noqa: E731
    wait_until(lambda: states() == ["online"])
    late = Listener(broker.port)
    wait_until(lambda: late.records("/status"))
    assert [retained for topic, _, retained in late.heard if topic.endswith("status")] == [True]
    late.close()
    sink._client.socket().shutdown(socket.SHUT_RDWR)  # as a power cut looks to the broker
    wait_until(lambda: states()[:2] == ["online", "offline"])
    wait_until(lambda: states()[-1] == "online")
    sink.close()
    wait_until(lambda: states()[-1] == "stopped")


def test_a_broker_that_is_not_there_is_told_by_the_check(broker):
    broker.stop()
    with pytest.raises(ConfigError, match=rf"mqtt://127\.0\.0\.1:{broker.port}: "):
        mqtt(broker).check()
    broker.start()
    mqtt(broker).check()


# paho leaves the socket of a refused certificate to the garbage collector
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_tls_trusts_the_certificates_that_it_is_given_and_no_others(tmp_path, broker, wait_until):
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = [
        *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1"),
        *("-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"),
        *("-keyout", str(key), "-out", str(certificate)),
    ]
    subprocess.run(command, check=True, capture_output=True)
    broker.stop()
    broker.start(f"certfile {certificate}\nkeyfile {key}\n")
    mqtt(broker, tls=True, ca_file=str(certificate)).check()
    with pytest.raises(ConfigError, match="certificate"):
        mqtt(broker, tls=True).check()


def test_a_certificate_or_password_that_cannot_be_read_is_told_when_it_is_made(tmp_path):
    config = MqttSink(kind="mqtt", name="b", host="h", tls=True, ca_file=str(tmp_path / "no.pem"))
    with pytest.raises(ConfigError, match="TLS cannot be set up"):
        make_sink(config, DEVICE)
    (tmp_path / "empty").touch()
    config = MqttSink(
        kind="mqtt", name="b", host="h", username="u", password_file=str(tmp_path / "empty")
    )
    with pytest.raises(ConfigError, match="one line with the secret"):
        make_sink(config, DEVICE)


def webhook(server, **more):
    config = WebhookSink(kind="webhook", name="hook", url=server.url + "/v", timeout_ms=500, **more)
    return make_sink(config, DEVICE)


def test_a_webhook_gets_a_cloud_event_with_the_token(server, tmp_path):
    (tmp_path / "token").write_text("abc\n")
    webhook(server, token_file=str(tmp_path / "token")).send([message(1)])
    ((method, path, headers, body),) = server.requests
    assert (method, path) == ("POST", "/v")
    assert headers["Content-Type"] == "application/cloudevents+json"
    assert headers["Authorization"] == "Bearer abc"
    assert json.loads(body)["data"]["seq"] == 1


@pytest.mark.parametrize(
    ("status", "kind"),
    [(500, SinkError), (429, SinkError), (404, SinkError), (302, SinkError), (400, RefusedError)],
)
def test_only_what_a_server_says_of_the_message_itself_is_a_refusal(server, status, kind):
    server.answer = lambda request: (200 if len(server.requests) < 3 else status, "text/plain", b"")
    with pytest.raises(SinkError) as failed:
        webhook(server).send([message(n) for n in range(5)])
    assert type(failed.value) is kind
    assert failed.value.arrived == 2


class FakeOutbox:
    """Messages in memory."""

    def __init__(self, messages):
        self.left = list(messages)
        self.refused = {}

    def waiting(self, sink, limit):
        return [m for m in self.left if m.n not in self.refused][:limit]

    def delivered(self, numbers):
        self.left = [m for m in self.left if m.n not in numbers]

    def refuse(self, number, why):
        self.refused[number] = why

    def wait(self, timeout_s):
        time.sleep(0.005)

    def wake(self):
        """Nobody sleeps."""


def dispatcher_of(sink, outbox, changed=lambda *told: None):
    return Dispatcher("s", sink, outbox, most_per_second=10_000, health=dict, changed=changed)


def test_one_message_that_is_refused_holds_up_no_other(server, wait_until):
    def answer(request):
        return (422 if b'"seq": 3' in server.requests[-1][3] else 200), "text/plain", b""

    server.answer = answer
    outbox = FakeOutbox(message(n) for n in range(6))
    dispatcher = dispatcher_of(webhook(server), outbox)
    dispatcher.start()
    wait_until(lambda: [m.n for m in outbox.left] == [3])
    dispatcher.drain(1)
    assert "says 422" in outbox.refused[3]


def test_a_server_that_is_gone_gets_everything_when_it_is_back(server, wait_until, monkeypatch):
    monkeypatch.setattr("edge_ad_line.sinks.dispatcher.backoff_s", lambda n: 0.02 * bool(n))
    server.stop()
    told = []
    outbox = FakeOutbox(message(n) for n in range(120))
    dispatcher = dispatcher_of(webhook(server), outbox, lambda *change: told.append(change[1]))
    dispatcher.start()
    wait_until(lambda: told == [False])
    assert not dispatcher.is_up
    server.start()
    wait_until(lambda: not outbox.left)
    dispatcher.drain(1)
    assert [json.loads(body)["data"]["seq"] for *_, body in server.requests] == list(range(120))
    assert told == [False, True]


def test_lines_are_whole_and_a_disk_that_fails_loses_none(tmp_path, wait_until):
    file = tmp_path / "folder" / "lines.jsonl"
    sink = make_sink(JsonLinesSink(kind="json-lines", name="l", file=str(file)), DEVICE)
    sink.send([message(1), message(2, kind="alarm")])
    first, second = (json.loads(line) for line in file.read_text().splitlines())
    assert first["seq"] == 1
    assert second["kind"] == "alarm"
    shutil.rmtree(file.parent)
    file.parent.touch()
    with pytest.raises(SinkError, match="cannot be written") as failed:
        sink.send([message(3)])
    assert failed.value.arrived == 0
