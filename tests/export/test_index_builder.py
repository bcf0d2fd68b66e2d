"""Indexes that are built beside other work are those that would have been built without it."""

import errno

import numpy as np
import pytest

from edge_ad_export.search.index import IndexBuilder, build_index
from edge_ad_runtime.artifact.head_records import HnswSearchRecord
from edge_ad_runtime.heads.index_files import INDEX, PROJECTION

BANK = np.random.default_rng(0).normal(size=(300, 24)).astype(np.float32)


def settings(dimension):
    return HnswSearchRecord(
        code_dimension=dimension, links=8, ef_construction=40, ef_search=8, candidates=4, rounds=1,
        reason="",
    )  # fmt: skip


def test_what_was_begun_is_not_built_again_and_is_the_same(tmp_path, monkeypatch):
    alone = tmp_path / "alone"
    alone.mkdir()
    build_index(BANK, settings(12), 0, alone)
    builds = []

    def counted(bank, found, seed, folder):
        builds.append(found.code_dimension)
        build_index(bank, found, seed, folder)

    monkeypatch.setattr("edge_ad_export.search.index.build_index", counted)
    with IndexBuilder(tmp_path) as indexes:
        indexes.start(BANK, settings(12), 0)
        indexes.start(BANK, settings(16), 0)
        folder = indexes.built(BANK.copy(), settings(12), 0)
        assert builds == [12, 16]  # nothing is being built any more
        for name in (INDEX, PROJECTION):
            assert (folder / name).read_bytes() == (alone / name).read_bytes()
        assert indexes.built(BANK + 1, settings(12), 0) != folder
    assert list(tmp_path.iterdir()) == [alone]


def test_an_error_arrives_where_the_index_is_wanted(tmp_path, monkeypatch):
    def full(*args):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("edge_ad_export.search.index.build_index", full)
    with IndexBuilder(tmp_path) as indexes:
        indexes.start(BANK, settings(12), 0)
        with pytest.raises(OSError, match="No space left on device"):
            indexes.built(BANK, settings(12), 0)
    assert list(tmp_path.iterdir()) == []
