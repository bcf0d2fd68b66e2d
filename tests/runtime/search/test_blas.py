"""Searches share the limit on BLAS's threads; none waits for another, and the last one lifts it."""

import threading

import pytest
from threadpoolctl import threadpool_info

from edge_ad_runtime import Detector
from edge_ad_runtime.search.blas import BLAS_ON_ONE_THREAD


def threads() -> list[int]:
    found = [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]
    if not found or max(found) == 1:
        pytest.skip("BLAS has one thread here anyway")
    return found


def now() -> set[int]:
    return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}


def test_the_limit_holds_until_the_last_search_has_ended():
    before = set(threads())
    entered, leave = threading.Event(), threading.Event()

    def other():
        with BLAS_ON_ONE_THREAD:
            entered.set()
            leave.wait(10)

    thread = threading.Thread(target=other)
    thread.start()
    assert entered.wait(10)
    with BLAS_ON_ONE_THREAD:  # at once, though the other is still inside
        assert now() == {1}
    assert now() == {1}
    leave.set()
    thread.join()
    assert now() == before


def test_an_error_within_a_search_lifts_the_limit():
    before = set(threads())
    with pytest.raises(RuntimeError), BLAS_ON_ONE_THREAD:
        raise RuntimeError
    assert now() == before


def test_two_detectors_search_at_the_same_time(tiny, monkeypatch):
    """With a lock of the whole process the second would not get in while the first is."""
    together = threading.Barrier(2, timeout=30)
    detectors = [Detector.load(tiny) for _ in range(2)]
    for detector in detectors:
        search = vars(detector.members[0].head)["_search"]
        ask = search._ask

        def met(queries, k, ask=ask):
            together.wait()
            return ask(queries, k)

        monkeypatch.setattr(search, "_ask", met)
    image = tiny / "reference/0-good.png"
    workers = [threading.Thread(target=detector.predict, args=(image,)) for detector in detectors]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert not together.broken
