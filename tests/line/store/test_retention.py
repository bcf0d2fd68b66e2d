"""Who must go, by class, age and bytes; decided without a clock or a disk."""

from edge_ad_line.config import Keep
from edge_ad_line.store.retention import Kept, to_delete

WIDE = {kind: Keep() for kind in ("good", "near", "error", "anomalous")}
DAY = 86_400.0


def kept(result, kind="good", size=10, age_s=0.0):
    return Kept(result=result, kind=kind, bytes=size, age_s=age_s)


def numbers(images, keep=WIDE, budget=10**9, short=0):
    used = {kind: sum(i.bytes for i in images if i.kind == kind) for kind in WIDE}
    gone = to_delete(images, used, keep, budget_bytes=budget, short_bytes=short)
    return [image.result for image in gone]


def test_nothing_goes_that_is_within_all_limits():
    assert numbers([kept(1), kept(2, "anomalous")]) == []


def test_what_is_older_than_its_class_may_be_goes():
    images = [kept(1, age_s=8 * DAY), kept(2, age_s=6 * DAY), kept(3, "error", age_s=8 * DAY)]
    assert numbers(images, {**WIDE, "good": Keep(days=7)}) == [1]


def test_of_a_class_that_is_too_large_the_oldest_go():
    images = [kept(n) for n in range(1, 6)] + [kept(6, "anomalous")]
    assert numbers(images, {**WIDE, "good": Keep(bytes=20)}) == [1, 2, 3]


def test_of_all_together_good_ones_go_first_and_anomalous_ones_last():
    images = [kept(1, "anomalous"), kept(2, "error"), kept(3, "near"), kept(4), kept(5)]
    assert numbers(images, budget=40) == [4]
    assert numbers(images, budget=20) == [4, 5, 3]
    assert numbers(images, budget=0) == [4, 5, 3, 2, 1]


def test_a_disk_that_is_nearly_full_costs_good_images_and_never_anomalous_ones():
    images = [kept(1, "anomalous"), kept(2), kept(3), kept(4, "near")]
    assert numbers(images, short=15) == [2, 3]
    assert numbers(images, short=1000) == [2, 3, 4]


def test_what_is_not_asked_about_counts_and_is_left_for_the_next_time():
    oldest = [kept(1), kept(2)]
    used = dict.fromkeys(WIDE, 0) | {"good": 1000}
    limit = {**WIDE, "good": Keep(bytes=985)}
    assert [i.result for i in to_delete(oldest, used, limit, budget_bytes=10**9)] == [1, 2]
