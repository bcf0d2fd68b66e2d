"""A result is stored whole, in order, and before anybody hears of it."""

from dataclasses import replace

import pytest

from edge_ad_line.config import StoreConfig
from edge_ad_line.result import Result, new_id, utc_text
from edge_ad_line.store import Store
from edge_ad_runtime.errors import ConfigError

SMALL = StoreConfig(reserve_bytes=1 << 16)


def a_result(part="lid", verdict="good", score=0.5, **changed):
    told = {
        "id": new_id(), "seq": None, "part": part, "part_id": None, "camera": None,
        "captured_at": utc_text(), "verdict": verdict, "reason": None, "error": None,
        "score": score, "threshold": 1.0, "exact": True, "artifact": "0" * 64, "boxes": [],
        "timings_ms": {}, "drift": None, "image": "/v1/results/x/image", "stored": True,
    }  # fmt: skip
    return Result(**{**told, **changed})


@pytest.fixture
def store(tmp_path):
    opened = Store(tmp_path / "data", SMALL)
    yield opened
    opened.close()


def test_numbers_of_a_part_have_no_gaps_over_a_restart(tmp_path):
    for first in (1, 3):
        store = Store(tmp_path / "data", SMALL)
        for seq in (first, first + 1):
            assert store.add(a_result()).seq == seq
        assert store.add(a_result("tile")).seq == (first + 1) // 2
        store.close()


def test_a_result_is_given_as_it_was_stored(store):
    stored = store.add(a_result(part_id="7", boxes=[{"box": [1, 2, 3, 4]}]))
    record = store.result(stored.id)
    assert record.pop("review") is None
    assert record == {**stored.to_record(), "image": None}  # there is no image yet
    assert Result.of_record({**record, "review": None}) == replace(stored, image=None)
    assert store.result("nobody") is None


def test_results_are_newest_first_and_after_one_oldest_first(store):
    ids = [store.add(a_result(verdict=v)).id for v in ("good", "anomalous", "good", "good")]
    assert [r["id"] for r in store.results(limit=2)] == [ids[3], ids[2]]
    assert [r["id"] for r in store.results(after=ids[0])] == ids[1:]
    assert [r["id"] for r in store.results(before=ids[2])] == [ids[1], ids[0]]
    assert [r["id"] for r in store.results(verdict="anomalous")] == [ids[1]]
    assert store.results(part="tile") == []


def test_an_image_is_given_as_it_was_kept_and_never_when_it_is_damaged(store):
    stored = store.add(a_result())
    assert store.image(stored.id) is None
    assert store.keep_image(stored.id, b"pixels", "image/png", "good")
    assert store.image(stored.id) == (b"pixels", "image/png")
    assert store.result(stored.id)["image"] == "/v1/results/x/image"
    (path,) = (store.folder / "images").rglob("*.png")
    path.write_bytes(b"pixelz")
    assert store.image(stored.id) is None


def test_a_review_is_kept_with_who_and_why_and_pins_the_image(store):
    stored = store.add(a_result(verdict="anomalous", score=1.5))
    store.keep_image(stored.id, b"pixels", "image/png", "anomalous")
    assert [r["id"] for r in store.review_queue("lid", 5)] == [stored.id]
    store.review(stored.id, "good", user="ann", reason="only dust")
    assert store.review_queue("lid", 5) == []
    assert store.result(stored.id)["review"]["reason"] == "only dust"
    (row,) = store.audit()
    assert (row["user"], row["before"], row["after"]) == ("ann", "anomalous", "good")
    with pytest.raises(ConfigError, match="no result nobody"):
        store.review("nobody", "good", user="ann", reason="")


def test_the_review_queue_begins_nearest_to_the_threshold(store):
    scores = [0.2, 1.3, 0.9, None]
    ids = [store.add(a_result(score=score)).id for score in scores]
    for each in ids:
        store.keep_image(each, b"pixels", "image/png", "good")
    assert [r["id"] for r in store.review_queue("lid", 5)] == [ids[2], ids[1], ids[0]]


def test_an_audit_row_that_was_edited_breaks_the_chain(store):
    for reason in "abc":
        store.note(user="ann", action="reload", object="line", reason=reason)
    assert store.audit_is_whole()
    with store._database.writing() as transaction:
        transaction.execute("UPDATE audit SET reason = 'x' WHERE n = 2")
    assert not store.audit_is_whole()


def test_a_key_and_a_source_are_found_again(store):
    stored = store.add(a_result(camera="top"), source="a.png 1", key="k")
    assert store.with_key("lid", "k")["id"] == stored.id
    assert store.with_key("tile", "k") is None
    assert store.has_source("top", "a.png 1")
    assert not store.has_source("top", "a.png 2")


def test_what_was_in_hand_is_known_until_its_result_is_stored(store):
    store.take_in_hand("lid", {"part": "lid", "part_id": "7"})
    assert store.in_hand() == [{"part": "lid", "part_id": "7"}]
    store.add(a_result())
    assert store.in_hand() == []
