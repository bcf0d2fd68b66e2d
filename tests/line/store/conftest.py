"""Results to store, and a store to keep them in."""

import pytest

from edge_ad_line.config import StoreConfig
from edge_ad_line.result import Result, new_id, utc_text
from edge_ad_line.store import Store


@pytest.fixture(scope="session")
def a_result():
    """Make a result of which nothing but what is given is special."""

    def make(part="lid", verdict="good", score=0.5, **changed):
        told = {
            "id": new_id(), "seq": None, "part": part, "part_id": None, "camera": None,
            "captured_at": utc_text(), "verdict": verdict, "reason": None, "error": None,
            "score": score, "threshold": 1.0, "exact": True, "artifact": "0" * 64, "boxes": [],
            "timings_ms": {}, "drift": None, "image": "/v1/results/x/image", "stored": True,
        }  # fmt: skip
        return Result(**{**told, **changed})

    return make


@pytest.fixture
def open_store(tmp_path):
    """Open the store in ``tmp_path``, and close it at the end. It may be opened again."""
    opened: list[Store] = []

    def make(**settings):
        for store in opened:
            store.close()
        opened[:] = [
            Store(tmp_path / "data", StoreConfig(**{"reserve_bytes": 1 << 16, **settings}))
        ]
        return opened[0]

    yield make
    for store in opened:
        store.close()


@pytest.fixture
def store(open_store):
    return open_store()
