"""One suite for every backend: what `inline` gives is what each must give."""

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from edge_ad.compute import Outcome, connect, in_order
from edge_ad.compute.inline import InlineCluster
from edge_ad_runtime.errors import ArtifactError, ClusterError, ConfigError


@pytest.fixture(params=["inline", "ray"])
def cluster(request):
    return InlineCluster() if request.param == "inline" else request.getfixturevalue("two_on_ray")


def half_of_even(number):
    if number % 2:
        raise ArtifactError(f"{number} is odd", path=Path("numbers"))
    return number // 2


class Counter:
    """A worker whose state is lost with it."""

    def __init__(self, start):
        self.total = start

    def add(self, number):
        self.total += number
        return self.total

    def fail(self):
        raise ConfigError("no")

    def process(self):
        return os.getpid()

    def die_once(self, mark):
        if not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return self.total

    def die(self):
        os.kill(os.getpid(), signal.SIGKILL)


def die_once(mark):
    Counter(0).die_once(mark)
    return "done"


def die(item):
    os.kill(os.getpid(), signal.SIGKILL)


def test_map_gives_each_outcome_with_its_number(cluster):
    outcomes = list(cluster.map(half_of_even, [0, 2, 4, 6]))
    assert sorted((o.number, o.value) for o in outcomes) == [(0, 0), (1, 1), (2, 2), (3, 3)]
    assert in_order(cluster.map(half_of_even, range(0, 40, 2))) == list(range(20))


def test_an_error_of_ours_comes_back_as_it_was_and_the_others_are_done(cluster):
    outcomes = {o.number: o for o in cluster.map(half_of_even, [0, 1, 2])}
    assert [outcomes[0].value, outcomes[2].value] == [0, 1]
    error = outcomes[1].error
    assert type(error) is ArtifactError
    assert str(error) == "numbers: 1 is odd"
    assert error.path == Path("numbers")
    with pytest.raises(ArtifactError, match="1 is odd"):
        outcomes[1].get()


def test_workers_keep_their_state_and_answer_in_order(cluster):
    with cluster.workers(Counter, [(10,), (20,)]) as workers:
        assert len(workers) == 2
        assert workers.ask("add", 1) == [11, 21]
        assert workers.ask_one(1, "add", 5) == 26
        assert workers.ask("add", 0) == [11, 26]
        with pytest.raises(ConfigError, match="no"):
            workers.ask("fail")
        assert workers.rebuilt == 0


def test_a_task_whose_worker_dies_is_begun_again(two_on_ray, tmp_path):
    assert in_order(two_on_ray.map(die_once, [tmp_path / "mark"])) == ["done"]


def test_a_task_that_kills_every_worker_is_an_outcome_and_not_endless(two_on_ray):
    (outcome,) = two_on_ray.map(die, [None])
    assert isinstance(outcome.error, ClusterError)
    assert "died 4 times" in str(outcome.error)


def test_a_worker_that_dies_is_built_again_restored_and_asked_again(two_on_ray, tmp_path):
    def restore(number):
        assert workers.ask_one(number, "add", 7) == 17

    with two_on_ray.workers(Counter, [(10,), (10,)], restore=restore) as workers:
        assert workers.ask("add", 7) == [17, 17]
        assert workers.ask_one(1, "die_once", tmp_path / "mark") == 17
        assert workers.rebuilt == 1
        os.kill(workers.ask_one(0, "process"), signal.SIGKILL)
        assert workers.ask("add", 1) == [18, 18]
        assert workers.rebuilt == 2


def test_a_worker_that_always_dies_is_an_error(two_on_ray):
    with (
        two_on_ray.workers(Counter, [(1,)]) as workers,
        pytest.raises(ClusterError, match=r"worker 0 died 4 times in 'die'"),
    ):
        workers.ask("die")


def test_gpus_that_are_not_there_are_refused_at_once(two_on_ray):
    with pytest.raises(ConfigError, match="1000 GPUs are asked for"):
        next(two_on_ray.map(half_of_even, [0], gpus=1000))


def test_an_address_that_means_nothing_is_refused():
    with pytest.raises(ConfigError, match="must be inline, auto, local or ray://HOST:PORT"):
        connect("spark://host")


def test_no_address_works_in_this_process():
    with connect(None) as cluster:
        assert cluster.slots == 1
        assert list(cluster.map(half_of_even, [8])) == [Outcome(number=0, value=4)]


def sockets_of(processes):
    """The inodes of the sockets that processes have open."""
    found = set()
    for process in processes:
        for file in Path(f"/proc/{process}/fd").glob("*"):
            with suppress(OSError):
                link = str(file.readlink())
                if link.startswith("socket:["):
                    found.add(link[8:-1])
    return found


def family():
    """This process and all that descend from it."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
    found = {os.getpid()}
    while more := {p for p, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def listening(own):
    """The addresses that sockets listen on, as the kernel writes them."""
    for name in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and fields[9] in own:
                yield fields[1].partition(":")[0]


def test_a_cluster_of_our_own_listens_on_the_loopback_alone(two_on_ray):
    addresses = list(listening(sockets_of(family())))
    assert addresses
    for address in addresses:
        assert address.endswith("0100007F") or address == "0" * 24 + "01000000", address


def test_ray_is_not_imported_where_it_is_not_asked_for():
    code = (
        "import sys, edge_ad.compute, edge_ad.fitting.fitting, edge_ad.commands.fit; "
        "edge_ad.compute.connect('inline'); print('ray' in sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ran.stdout == "False\n", ran.stderr


def test_usage_statistics_are_off(two_on_ray):
    import ray

    assert not ray._common.usage.usage_lib.usage_stats_enabled()
