"""Everything in this process, one after the other: the default, and what the others must equal."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Self

from edge_ad.compute import Item, Outcome, Result


class InlineCluster:
    """See `edge_ad.compute.Cluster`.

    Args:
        slots: how many parts work is cut into. They still run one after the other.
    """

    def __init__(self, slots: int = 1) -> None:
        self.slots = slots

    def map(
        self, function: Callable[[Item], Result], items: Iterable[Item], *, gpus: float = 0
    ) -> Iterator[Outcome[Result]]:
        """See `edge_ad.compute.Cluster.map`. In one process torch finds the GPU by itself."""
        for number, item in enumerate(items):
            try:
                yield Outcome(number=number, value=function(item))
            except Exception as exc:
                yield Outcome(number=number, error=exc)

    def workers(
        self,
        kind: Callable[..., Any],
        arguments: Sequence[tuple[Any, ...]],
        *,
        restore: Callable[[int], None] | None = None,
        gpus: float = 0,
    ) -> InlineWorkers:
        """See `edge_ad.compute.Cluster.workers`. None of them can die."""
        return InlineWorkers([kind(*given) for given in arguments])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        pass


class InlineWorkers:
    """See `edge_ad.compute.Workers`."""

    rebuilt = 0

    def __init__(self, workers: Sequence[Any]) -> None:
        self._workers = workers

    def __len__(self) -> int:
        return len(self._workers)

    def ask(self, method: str, *arguments: Any) -> list[Any]:
        """See `edge_ad.compute.Workers.ask`."""
        return [getattr(worker, method)(*arguments) for worker in self._workers]

    def ask_one(self, number: int, method: str, *arguments: Any) -> Any:
        """See `edge_ad.compute.Workers.ask_one`."""
        return getattr(self._workers[number], method)(*arguments)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        pass
