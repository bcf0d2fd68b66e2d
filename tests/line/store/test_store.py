"""A result is stored whole, in order, and before anybody hears of it."""

import sqlite3
import time
from dataclasses import replace

import pytest

from edge_ad_line.config import Keep, KeepConfig
from edge_ad_line.result import Result
from edge_ad_runtime.errors import ConfigError


def test_numbers_of_a_part_have_no_gaps_over_a_restart(open_store, a_result):
    for first in (1, 3):
        store = open_store()
        for seq in (first, first + 1):
            assert store.add(a_result()).seq == seq
        assert store.add(a_result("tile")).seq == (first + 1) // 2


def test_a_result_is_given_as_it_was_stored(store, a_result):
    stored = store.add(a_result(part_id="7", boxes=[{"box": [1, 2, 3, 4]}]))
    record = store.result(stored.id)
    assert record.pop("review") is None
    assert record == {**stored.to_record(), "image": None}  # there is no image yet
    assert Result.of_record({**record, "review": None}) == replace(stored, image=None)
    assert store.result("nobody") is None


def test_results_are_newest_first_and_after_one_oldest_first(store, a_result):
    ids = [store.add(a_result(verdict=v)).id for v in ("good", "anomalous", "good", "good")]
    assert [r["id"] for r in store.results(limit=2)] == [ids[3], ids[2]]
    assert [r["id"] for r in store.results(after=ids[0])] == ids[1:]
    assert [r["id"] for r in store.results(before=ids[2])] == [ids[1], ids[0]]
    assert [r["id"] for r in store.results(verdict="anomalous")] == [ids[1]]
    assert store.results(part="tile") == []


def test_an_image_is_given_as_it_was_kept_and_never_when_it_is_damaged(store, a_result):
    stored = store.add(a_result())
    assert store.image(stored.id) is None
    assert store.images.keep(stored.id, b"pixels", "image/png", "good")
    assert store.image(stored.id) == (b"pixels", "image/png")
    assert store.result(stored.id)["image"] == "/v1/results/x/image"
    (path,) = (store.folder / "images").rglob("*.png")
    path.write_bytes(b"pixelz")
    assert store.image(stored.id) is None


def test_a_review_is_kept_with_who_and_why_and_pins_the_image(store, a_result):
    stored = store.add(a_result(verdict="anomalous", score=1.5))
    store.images.keep(stored.id, b"pixels", "image/png", "anomalous")
    assert [r["id"] for r in store.review_queue("lid", 5)] == [stored.id]
    store.journal.review(stored.id, "good", user="ann", reason="only dust")
    assert store.review_queue("lid", 5) == []
    assert store.result(stored.id)["review"]["reason"] == "only dust"
    (row,) = store.audit()
    assert (row["user"], row["before"], row["after"]) == ("ann", "anomalous", "good")
    with pytest.raises(ConfigError, match="no result nobody"):
        store.journal.review("nobody", "good", user="ann", reason="")


def test_the_review_queue_begins_nearest_to_the_threshold(store, a_result):
    scores = [0.2, 1.3, 0.9, None]
    ids = [store.add(a_result(score=score)).id for score in scores]
    for each in ids:
        store.images.keep(each, b"pixels", "image/png", "good")
    assert [r["id"] for r in store.review_queue("lid", 5)] == [ids[2], ids[1], ids[0]]


def test_an_audit_row_that_was_edited_breaks_the_chain(store):
    for reason in "abc":
        store.journal.note(user="ann", action="reload", object="line", reason=reason)
    assert store.journal.audit_is_whole()
    with store.database.writing() as transaction:
        transaction.execute("UPDATE audit SET reason = 'x' WHERE n = 2")
    assert not store.journal.audit_is_whole()


def test_a_key_and_a_source_are_found_again(store, a_result):
    stored = store.add(a_result(camera="top"), source="a.png 1", key="k")
    assert store.with_key("lid", "k")["id"] == stored.id
    assert store.with_key("tile", "k") is None
    assert store.has_source("top", "a.png 1")
    assert not store.has_source("top", "a.png 2")


def test_what_was_in_hand_is_known_until_its_result_is_stored(store, a_result):
    store.take_in_hand("lid", {"part": "lid", "part_id": "7"})
    assert store.in_hand() == [{"part": "lid", "part_id": "7"}]
    store.add(a_result())
    assert store.in_hand() == []


def test_a_disk_that_is_full_stops_images_and_then_lives_from_the_reserve(
    open_store, a_result, monkeypatch
):
    store = open_store()
    stored = store.add(a_result())
    free = {"bytes": 1000}
    monkeypatch.setattr("edge_ad_line.store.images.free_bytes", lambda folder: free["bytes"])
    monkeypatch.setattr("edge_ad_line.store.reserve.free_bytes", lambda folder: free["bytes"])
    assert not store.images.keep(stored.id, b"pixels", "image/png", "good")
    assert store.images.lost == 1
    add, failures = store._results.add, [sqlite3.OperationalError("database or disk is full")]

    def failing(result, **more):
        if failures:
            raise failures.pop()
        return add(result, **more)

    monkeypatch.setattr(store._results, "add", failing)
    assert store.add(a_result()).seq == 2
    assert not store.reserve.is_there
    assert store.status()["is_nearly_full"]
    store.tidy()
    assert not store.reserve.is_there
    free["bytes"] = 10**9
    store.tidy()
    assert store.reserve.is_there
    assert store.images.keep(stored.id, b"pixels", "image/png", "good")


def test_retention_deletes_files_and_rows_and_never_what_a_person_has_reviewed(
    open_store, a_result
):
    store = open_store(keep=KeepConfig(good=Keep(bytes=25)))
    ids = [store.add(a_result()).id for _ in range(5)]
    for each in ids:
        store.images.keep(each, bytes(10), "image/png", "good")
    store.journal.review(ids[0], "good", user="ann", reason="")
    store.tidy()
    assert [store.image(each) is not None for each in ids] == [True, False, False, True, True]
    assert len(list((store.folder / "images").rglob("*.png"))) == 3
    assert len(store.results()) == 5
    assert store.images.deleted["good"] == 2


def test_a_clock_that_jumps_makes_no_image_old(open_store, a_result, monkeypatch):
    store = open_store(keep=KeepConfig(good=Keep(days=1)))
    stored = store.add(a_result())
    store.images.keep(stored.id, b"pixels", "image/png", "good")
    monkeypatch.setattr(time, "time", lambda: 4e9)
    later = store.add(a_result())
    store.tidy()
    assert store.image(stored.id) is not None
    monkeypatch.setattr(time, "time", lambda: 1e9)
    earlier = store.add(a_result())
    assert [r["id"] for r in store.results()] == [earlier.id, later.id, stored.id]
    monkeypatch.setattr(store.memory, "_opened_s", store.memory._opened_s - 2 * 86_400)
    store.tidy()
    assert store.image(stored.id) is None


def test_results_above_the_limit_are_removed_oldest_first(open_store, a_result):
    store = open_store(most_results=100)
    for _ in range(110):
        store.add(a_result())
    store.tidy()
    found = store.results(limit=200)
    assert len(found) == 100
    assert found[-1]["seq"] == 11
