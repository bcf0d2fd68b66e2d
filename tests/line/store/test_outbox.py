"""Messages wait in order, and are dropped, oldest good first, only where too many wait."""


def test_a_result_waits_for_every_sink_until_it_has_arrived_there(store, a_result):
    store.outbox.set_sinks({"a": 1000, "b": 1000})
    stored = [store.add(a_result()) for _ in range(3)]
    waiting = store.outbox.waiting("a", 2)
    assert [m.record["id"] for m in waiting] == [r.id for r in stored[:2]]
    store.outbox.delivered([m.n for m in waiting])
    assert [m.record["id"] for m in store.outbox.waiting("a", 9)] == [stored[2].id]
    assert len(store.outbox.waiting("b", 9)) == 3


def test_messages_wait_over_a_restart_and_not_for_a_sink_that_is_no_more(open_store, a_result):
    store = open_store()
    store.outbox.set_sinks({"a": 1000, "b": 1000})
    store.add(a_result())
    store.tell("alarm", {"id": "x"})
    store = open_store()
    store.outbox.set_sinks({"b": 1000})
    assert [m.kind for m in store.outbox.waiting("b", 9)] == ["result", "alarm"]
    assert store.outbox.waiting("a", 9) == []


def test_too_many_messages_cost_the_oldest_good_ones_first(store, a_result):
    store.outbox.set_sinks({"a": 20})
    bad = [store.add(a_result(verdict="anomalous", score=2.0)).id for _ in range(5)]
    for _ in range(145):
        store.add(a_result())
    left = [m.record["id"] for m in store.outbox.waiting("a", 1000)]
    assert len(left) <= 120  # it is looked at each hundred messages
    assert left[:5] == bad
    assert store.outbox.counts()["a"]["dropped"] == 150 - len(left)


def test_a_refused_message_waits_no_more_and_can_be_seen(store, a_result):
    store.outbox.set_sinks({"a": 100})
    store.add(a_result())
    (message,) = store.outbox.waiting("a", 9)
    store.outbox.refuse(message.n, "says 422")
    assert store.outbox.waiting("a", 9) == []
    assert store.outbox.counts()["a"] == {
        "messages": 0, "refused": 1, "dropped": 0, "oldest_queued_s": None,
    }  # fmt: skip
