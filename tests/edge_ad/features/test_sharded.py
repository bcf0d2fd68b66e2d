"""The coreset of many shards is that of one machine, whoever holds them and whoever dies."""

import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_ad.compute.inline import InlineCluster, InlineWorkers
from edge_ad.features import greedy, sharded
from edge_ad.features.coreset import greedy_coreset, greedy_selection
from edge_ad.features.sharded import Gathering, sharded_coreset
from edge_ad_runtime.errors import ConfigError, FitError
from tests.edge_ad.compute.test_compute import family
from tests.edge_ad.features.test_coreset import radius, row_sets

RNG = np.random.default_rng(0)
INLINE = InlineCluster()


def cut(rows, shards):
    return np.array_split(rows, min(shards, len(rows)))


@pytest.fixture
def tiny(monkeypatch):
    """Sets so small that there are many rounds."""
    monkeypatch.setattr(greedy, "_ACTIVE_ROWS", 8)
    monkeypatch.setattr(greedy, "_BLOCK_ROWS", 3)
    monkeypatch.setattr(sharded, "_LEAST_SENT", 4)
    monkeypatch.setattr(sharded, "_REPLAYED", 5)


class Forgetful(InlineCluster):
    """Workers that are replaced by new ones before they answer, by lot: a death at every round."""

    def __init__(self, seed):
        super().__init__()
        self.lot = np.random.default_rng(seed)

    def workers(self, kind, arguments, *, restore=None, gpus=0):
        return ForgetfulWorkers(kind, arguments, restore, self.lot)


class ForgetfulWorkers(InlineWorkers):
    def __init__(self, kind, arguments, restore, lot):
        self.workers = [kind(*given) for given in arguments]
        super().__init__(self.workers)
        self.kind, self.arguments, self.restore, self.lot = kind, arguments, restore, lot
        self.restoring = False
        self.rebuilt = 0

    def ask(self, method, *arguments):
        return [self.ask_one(number, method, *arguments) for number in range(len(self))]

    def ask_one(self, number, method, *arguments):
        if not self.restoring and self.lot.random() < 0.3:
            self.restoring, self.rebuilt = True, self.rebuilt + 1
            self.workers[number] = self.kind(*self.arguments[number])
            self.restore(number)
            self.restoring = False
        return super().ask_one(number, method, *arguments)


@pytest.mark.usefixtures("tiny")
@settings(max_examples=150)
@given(row_sets(), st.integers(0, 5), st.integers(1, 5))
def test_in_float64_the_order_is_that_of_one_machine_exactly(case, seed, shards):
    rows, n_select = case
    found, traffic = sharded_coreset(INLINE, cut(rows, shards), n_select, seed=seed)
    assert found.rows.tolist() == greedy_coreset(rows, n_select, seed=seed).tolist()
    assert traffic.rounds <= n_select


@pytest.mark.usefixtures("tiny")
@settings(max_examples=100)
@given(row_sets(), st.integers(0, 5), st.integers(1, 5))
def test_shards_that_die_at_any_time_change_nothing(case, seed, shards):
    rows, n_select = case
    found, _ = sharded_coreset(Forgetful(seed), cut(rows, shards), n_select, seed=seed)
    assert found.rows.tolist() == greedy_coreset(rows, n_select, seed=seed).tolist()


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("cluster", [INLINE, Forgetful(0)], ids=["none dies", "some die"])
@settings(max_examples=100)
@given(row_sets(), st.integers(0, 5), st.integers(1, 5))
def test_in_float32_the_radius_is_that_of_one_machine(cluster, case, seed, shards):
    rows, n_select = case
    rows = rows.astype(np.float32)
    found, _ = sharded_coreset(cluster, cut(rows, shards), n_select, seed=seed)
    assert len(set(found.rows.tolist())) == n_select
    expected = radius(rows, greedy_coreset(rows, n_select, seed=seed))
    assert radius(rows, found.rows) == pytest.approx(expected, rel=1e-4)


def test_thousands_of_rows_of_both_kinds_agree_with_one_machine():
    rows = RNG.standard_normal((6000, 150))
    expected = greedy_selection(rows, 900)
    found, traffic = sharded_coreset(INLINE, cut(rows, 3), 900)
    assert found.rows.tolist() == expected.rows.tolist()
    assert found.covering_radius == expected.covering_radius
    assert traffic.rounds <= 40
    single = rows.astype(np.float32)
    found, _ = sharded_coreset(INLINE, cut(single, 3), 900)
    assert found.covering_radius == pytest.approx(expected.covering_radius, rel=1e-5)


def test_the_radius_that_is_told_is_the_radius():
    rows = RNG.standard_normal((800, 12))
    for found in (greedy_selection(rows, 50), sharded_coreset(INLINE, cut(rows, 2), 50)[0]):
        assert found.covering_radius == pytest.approx(radius(rows, found.rows), rel=1e-9)
        assert found.least_radius == found.covering_radius / 2
    assert greedy_selection(rows, 800).covering_radius == 0


def test_what_one_machine_refuses_is_refused():
    with pytest.raises(ConfigError, match=r"it must be 1 to 10"):
        sharded_coreset(INLINE, cut(np.zeros((10, 3), np.float32), 2), 11)
    rows = np.zeros((10, 3), np.float32)
    rows[7, 1] = np.nan
    with pytest.raises(FitError, match="NaN or infinite"):
        sharded_coreset(INLINE, cut(rows, 2), 2)


def test_two_workers_on_ray_pick_what_one_machine_picks(two_on_ray):
    rows = RNG.standard_normal((3000, 140))
    found, _ = sharded_coreset(two_on_ray, cut(rows, 2), 300)
    assert found.rows.tolist() == greedy_coreset(rows, 300).tolist()


def actors():
    """The processes that hold a shard."""
    names = {process: Path(f"/proc/{process}/cmdline") for process in family()}
    return [p for p, name in names.items() if name.read_bytes().startswith(b"ray::_Held")]


def test_a_worker_that_is_killed_at_a_random_round_changes_nothing(two_on_ray, monkeypatch):
    rows = RNG.standard_normal((3000, 140))
    killed_at = int(np.random.default_rng(time.time_ns()).integers(1, 6))
    monkeypatch.setattr(sharded, "_LEAST_SENT", 64)  # so that there are rounds
    gathering_round = Gathering._round

    def killing(self, sent):
        if self.traffic.rounds == killed_at:
            os.kill(min(actors()), signal.SIGKILL)
        return gathering_round(self, sent)

    monkeypatch.setattr(Gathering, "_round", killing)
    found, traffic = sharded_coreset(two_on_ray, cut(rows, 2), 300)
    assert traffic.rebuilt == 1, killed_at
    assert found.rows.tolist() == greedy_coreset(rows, 300).tolist(), killed_at
