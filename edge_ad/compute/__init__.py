"""Where work runs: in this process, or on a cluster. There are two verbs, `map` and `workers`.

``map`` applies a function to many items that know nothing of one another. ``workers`` keeps objects
that hold something large, each where its part of the data is, and asks them questions.

A backend is a `Cluster`. `edge_ad.compute.inline` is the default, and what every other backend is
tested against: the results are the same. `edge_ad.compute.on_ray` is the other one. A third needs
these two verbs and nothing else.

Functions, items, classes and arguments travel to other processes, so they must be picklable, and
the functions must have no effect that a second call would spoil: where a machine is lost, its work
is done again. Errors of the function itself are never retried. They would only come again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, Self, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

ATTEMPTS = 4
"""How often work is begun whose worker dies."""


@dataclass(frozen=True, kw_only=True)
class Outcome(Generic[Result]):
    """What became of one item.

    Attributes:
        number: the item's place among the items, from 0.
        value: what the function gave. It is None if there is an error.
        error: what the function raised, or a `ClusterError` if every worker that tried has died.
    """

    number: int
    value: Result | None = None
    error: Exception | None = None

    def get(self) -> Result:
        """The value. If there is an error, it is raised."""
        if self.error is not None:
            raise self.error
        return self.value  # type: ignore[return-value]  # it is what the function gave


class Workers(Protocol):
    """Objects that live where their part of the data is."""

    def __len__(self) -> int: ...

    @property
    def rebuilt(self) -> int:
        """How many workers have died and were built again."""

    def ask(self, method: str, *arguments: Any) -> list[Any]:
        """Call a method of every worker at once, and give what they answer, in their order.

        Raises:
            ClusterError: a worker has died in every attempt.
            Exception: what the method raised.
        """

    def ask_one(self, number: int, method: str, *arguments: Any) -> Any:
        """Call a method of one worker. It raises what `ask` does."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *error: object) -> None: ...


class Cluster(Protocol):
    """A place where work runs.

    Attributes:
        slots: how many items or workers it runs at once.
    """

    slots: int

    def map(
        self, function: Callable[[Item], Result], items: Iterable[Item], *, gpus: float = 0
    ) -> Iterator[Outcome[Result]]:
        """Apply a function to each item, and give the outcomes as they come, in any order.

        Args:
            function: what is done. Large things that all items need go into a `functools.partial`
                of it, which travels once.
            items: what it is done to.
            gpus: how many GPUs an item needs. It may be a fraction.

        Raises:
            ConfigError: there are not so many GPUs.
        """

    def workers(
        self,
        kind: Callable[..., Any],
        arguments: Sequence[tuple[Any, ...]],
        *,
        restore: Callable[[int], None] | None = None,
        gpus: float = 0,
    ) -> Workers:
        """Build one object for each of the arguments, and keep it.

        A worker that dies is built again from its arguments. ``restore`` then brings it to where
        the others are, and what it was asked last is asked again.

        Args:
            kind: a class.
            arguments: what each object is built from.
            restore: called with the number of a worker that was built again.
            gpus: how many GPUs a worker needs.

        Raises:
            ConfigError: there are not so many GPUs.
        """

    def __enter__(self) -> Self: ...

    def __exit__(self, *error: object) -> None: ...


def in_order(
    outcomes: Iterable[Outcome[Result]], done: Callable[[int], object] = lambda number: None
) -> list[Result]:
    """The values of all outcomes in the order of their items. The first error is raised.

    Args:
        outcomes: as they come.
        done: called with the number of each item when its value has come.
    """
    found = {}
    for outcome in outcomes:
        found[outcome.number] = outcome.get()
        done(outcome.number)
    return [found[number] for number in range(len(found))]


def connect(address: str | None) -> Cluster:
    """The cluster of ``--cluster``. It is closed by leaving its ``with`` block.

    Args:
        address: ``inline`` or None works in this process. ``auto`` joins the Ray cluster that runs
            on this machine, or starts one on the loopback. ``local`` starts one in any case.
            ``ray://HOST:PORT`` is a cluster somewhere else.

    Raises:
        ConfigError: the address is none of these, or Ray is not installed.
        ClusterError: the cluster does not answer.
    """
    if address in (None, "inline"):
        from edge_ad.compute.inline import InlineCluster

        return InlineCluster()
    from edge_ad.compute.on_ray import join_ray  # Ray itself is imported in there

    return join_ray(address)
