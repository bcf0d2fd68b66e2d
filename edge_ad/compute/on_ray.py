"""Ray (https://ray.io) as the cluster. Ray is imported when a cluster is joined, not before.

- Usage statistics are off, and so is the dashboard of a cluster that is started here.
- A cluster that is started here listens on the loopback alone. Ray has that for macOS and Windows,
  behind a flag that it reads when it is imported. Without the flag its ports, which run code for
  whoever reaches them, are open to the network.
- A task whose worker dies is begun again by Ray. A worker of `RayWorkers` that dies is built again
  by us, since its state must be brought back too.
- The memory monitor of Ray kills what uses too much. That counts as a death, and not for ever.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, Self

from edge_ad.compute import ATTEMPTS, Item, Outcome, Result
from edge_ad_runtime import __version__
from edge_ad_runtime.errors import ClusterError, ConfigError

_LOOPBACK = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"
_ENVIRONMENT = {  # which is read when Ray is imported, and by the processes that it starts
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_IGNORE_UNHANDLED_ERRORS": "1",  # of several workers, the first is told
}
_AHEAD = 1_000  # items that are handed over before the first has come back


def join_ray(address: str | None) -> RayCluster:
    """Join the cluster at ``address``, or start one. See `edge_ad.compute.connect`."""
    if address not in ("auto", "local") and not str(address).startswith("ray://"):
        raise ConfigError(
            f"cluster is {address!r}; it must be inline, auto, local or ray://HOST:PORT"
        )
    os.environ |= _ENVIRONMENT
    try:
        import ray
    except ImportError as exc:
        raise ConfigError(
            f"cluster is {address!r}, and Ray is not installed; pip install 'edge-ad[ray]'"
        ) from exc
    started = ray.is_initialized()
    if not started:
        try:
            _start(ray, str(address))
        except (ConnectionError, RuntimeError, ValueError, OSError) as exc:
            raise ClusterError(
                f"cluster {address}: cannot be reached: {str(exc) or type(exc).__name__}; is it "
                "running, with the same versions of Python and Ray, and is its token here "
                "(RAY_AUTH_MODE=token)?"
            ) from exc
    cluster = RayCluster(ray, leave=not started)
    cluster.check()
    return cluster


def _start(ray: Any, address: str) -> None:
    quiet = {"log_to_driver": False, "logging_level": "ERROR"}
    if address == "local":
        _start_on_loopback(ray, **quiet)
        return
    try:
        ray.init(address, **quiet)  # auto is the one that runs on this machine, or of RAY_ADDRESS
    except ConnectionError:
        if address != "auto":
            raise
        _start_on_loopback(ray, **quiet)


def _start_on_loopback(ray: Any, **quiet: Any) -> None:
    os.environ[_LOOPBACK] = "0"  # for the processes that ray starts
    ray._private.ray_constants.ENABLE_RAY_CLUSTER = False
    ray.init(
        "local",
        num_cpus=len(os.sched_getaffinity(0)),
        include_dashboard=False,
        _system_config={
            "task_oom_retries": ATTEMPTS - 1,
            "worker_niceness": 0,  # 15 unless told: workers wait for whatever else runs here
        },
        **quiet,
    )


class RayCluster:
    """See `edge_ad.compute.Cluster`.

    Args:
        ray: the module.
        leave: whether leaving the ``with`` block leaves Ray too.
    """

    def __init__(self, ray: Any, *, leave: bool) -> None:
        self._ray = ray
        self._leave = leave
        self.slots = max(1, int(ray.cluster_resources().get("CPU", 1)))

    def check(self) -> None:
        """Refuse a cluster whose machines have another edge_ad.

        Raises:
            ClusterError: they have.
        """
        (outcome,) = self.map(_version, [None])
        try:
            found = outcome.get()
        except ImportError as exc:
            found = f"none ({exc})"
        if found != __version__:
            self.__exit__()
            raise ClusterError(
                f"the cluster's machines have edge_ad {found}, this one has {__version__}; "
                "install the same on all"
            )

    def map(
        self, function: Callable[[Item], Result], items: Iterable[Item], *, gpus: float = 0
    ) -> Iterator[Outcome[Result]]:
        """See `edge_ad.compute.Cluster.map`."""
        self._check_gpus(gpus)
        ray = self._ray
        apply = ray.remote(_apply).options(num_cpus=1, num_gpus=gpus, max_retries=ATTEMPTS - 1)
        shared = ray.put(function)
        waiting = enumerate(items)
        running: dict[Any, int] = {}
        try:
            while True:
                for number, item in islice(waiting, _AHEAD - len(running)):
                    running[apply.remote(shared, item)] = number
                if not running:
                    return
                (done,), _ = ray.wait(list(running), num_returns=1)
                yield self._outcome(running.pop(done), done)
        finally:
            for left in running:  # whoever asked has stopped listening
                ray.cancel(left, force=True)

    def workers(
        self,
        kind: Callable[..., Any],
        arguments: Sequence[tuple[Any, ...]],
        *,
        restore: Callable[[int], None] | None = None,
        gpus: float = 0,
    ) -> RayWorkers:
        """See `edge_ad.compute.Cluster.workers`."""
        self._check_gpus(gpus * len(arguments))
        if len(arguments) > self.slots:
            raise ClusterError(
                f"{len(arguments)} workers are needed and the cluster has {self.slots} CPUs"
            )
        return RayWorkers(self._ray, kind, arguments, restore, gpus)

    def _outcome(self, number: int, done: Any) -> Outcome[Any]:
        try:
            return Outcome(number=number, value=self._ray.get(done))
        except self._ray.exceptions.RayTaskError as exc:
            return Outcome(number=number, error=exc.cause)
        except self._ray.exceptions.RayError as exc:
            reason = (str(exc) or type(exc).__name__).splitlines()[0]
            lost = ClusterError(f"its worker died {ATTEMPTS} times: {reason}")
            return Outcome(number=number, error=lost)

    def _check_gpus(self, gpus: float) -> None:
        there = self._ray.cluster_resources().get("GPU", 0)
        if gpus > there:
            raise ConfigError(f"{gpus:g} GPUs are asked for, and the cluster has {there:g}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if self._leave:
            self._ray.shutdown()


class RayWorkers:
    """See `edge_ad.compute.Workers`."""

    def __init__(
        self,
        ray: Any,
        kind: Callable[..., Any],
        arguments: Sequence[tuple[Any, ...]],
        restore: Callable[[int], None] | None,
        gpus: float,
    ) -> None:
        self._ray = ray
        self._kind = kind
        self._arguments = [ray.put(given) for given in arguments]
        self._restore = restore
        self._actor = ray.remote(_Held).options(num_cpus=1, num_gpus=gpus)
        self._actors = [self._actor.remote() for _ in arguments]
        self.rebuilt = 0
        built = [self._build(number) for number in range(len(arguments))]
        for number, answer in enumerate(built):
            try:
                self._get(answer)
            except ray.exceptions.RayActorError:
                self._rebuild(number, ATTEMPTS - 1)

    def __len__(self) -> int:
        return len(self._actors)

    def ask(self, method: str, *arguments: Any) -> list[Any]:
        """See `edge_ad.compute.Workers.ask`."""
        given = self._ray.put(arguments)  # one copy a machine
        asked = [actor.call.remote(method, given) for actor in self._actors]
        return [self._answer(n, answer, method, given) for n, answer in enumerate(asked)]

    def ask_one(self, number: int, method: str, *arguments: Any) -> Any:
        """See `edge_ad.compute.Workers.ask_one`."""
        given = self._ray.put(arguments)
        asked = self._actors[number].call.remote(method, given)
        return self._answer(number, asked, method, given)

    def _answer(self, number: int, answer: Any, method: str, given: Any) -> Any:
        for left in reversed(range(ATTEMPTS)):
            try:
                return self._get(answer)
            except self._ray.exceptions.RayActorError:
                if not left:
                    raise ClusterError(
                        f"worker {number} died {ATTEMPTS} times in {method!r}; has its machine "
                        "enough memory?"
                    ) from None
                self._rebuild(number, left)
                answer = self._actors[number].call.remote(method, given)
        raise AssertionError("the loop returns or raises")

    def _rebuild(self, number: int, attempts: int) -> None:
        """Put a new worker in the place of a dead one, and bring it to where the others are."""
        for left in reversed(range(attempts)):
            self.rebuilt += 1
            self._actors[number] = self._actor.remote()
            try:
                self._get(self._build(number))
                break
            except self._ray.exceptions.RayActorError:
                if not left:
                    raise ClusterError(f"worker {number} dies as soon as it is built") from None
        if self._restore is not None:
            self._restore(number)

    def _build(self, number: int) -> Any:
        return self._actors[number].build.remote(self._kind, self._arguments[number])

    def _get(self, answer: Any) -> Any:
        try:
            return self._ray.get(answer)
        except self._ray.exceptions.RayTaskError as exc:
            raise exc.cause from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        for actor in self._actors:
            self._ray.kill(actor)


class _Held:
    """A worker in its own process.

    It is built by a call and not by the constructor, so that its errors come as they are.
    """

    def build(self, kind: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        self._worker = kind(*arguments)

    def call(self, method: str, arguments: tuple[Any, ...]) -> Any:
        return getattr(self._worker, method)(*arguments)


def _apply(function: Callable[[Any], Any], item: Any) -> Any:
    return function(item)


def _version(item: None) -> str:
    return __version__
