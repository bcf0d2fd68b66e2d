"""`Dispatchers`: the dispatchers of all sinks, which follow the settings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from edge_ad_line.config import DeviceConfig, SinkConfig
from edge_ad_line.sinks import make_sink
from edge_ad_line.sinks.dispatcher import Dispatcher
from edge_ad_line.store.outbox import Outbox

_CHANGING_S = 1.0


class Dispatchers:
    """A dispatcher for each sink of the settings.

    Args:
        outbox: where messages wait.
        device: which device this is.
        health: the record that tells how it is.
        changed: is called with a sink's name, whether it is up, and why not.
    """

    def __init__(
        self,
        outbox: Outbox,
        device: DeviceConfig,
        health: Callable[[], dict[str, Any]],
        changed: Callable[[str, bool, str], None],
    ) -> None:
        self._outbox, self._device = outbox, device
        self._health, self._changed = health, changed
        self._dispatchers: dict[str, Dispatcher] = {}
        self._configs: dict[str, SinkConfig] = {}
        self._is_started = False

    def take(self, configs: Sequence[SinkConfig]) -> None:
        """Let sinks go whose settings have changed or are gone, and make the new ones.

        What waits for a sink waits on for another one of its name.

        Raises:
            ConfigError: a sink cannot be made. Nothing was changed.
        """
        wanted = {config.name: config for config in configs}
        changed = [name for name, config in wanted.items() if self._configs.get(name) != config]
        sinks = {name: make_sink(wanted[name], self._device) for name in changed}
        for name in [name for name, known in self._configs.items() if wanted.get(name) != known]:
            del self._configs[name]
            self._dispatchers.pop(name).drain(_CHANGING_S)
        for name, sink in sinks.items():
            self._configs[name] = wanted[name]
            self._dispatchers[name] = Dispatcher(
                name,
                sink,
                self._outbox,
                most_per_second=wanted[name].most_per_second,
                health=self._health,
                changed=self._changed,
            )
        self._outbox.set_sinks({config.name: config.most_messages for config in configs})
        for name in changed if self._is_started else ():
            self._dispatchers[name].start()

    def start(self) -> None:
        """Begin to send."""
        self._is_started = True
        for dispatcher in self._dispatchers.values():
            dispatcher.start()

    def drain(self, timeout_s: float) -> None:
        """Send what waits, each for at most so long."""
        for dispatcher in self._dispatchers.values():
            dispatcher.drain(timeout_s)

    def send_unstored(self, record: dict[str, Any]) -> None:
        """Send a result that the disk has not taken."""
        for dispatcher in list(self._dispatchers.values()):
            dispatcher.send_unstored(record)

    def to_record(self, now_s: float) -> dict[str, Any]:
        """JSON of every sink, by name.

        Args:
            now_s: the time of the store's own clock.
        """
        counts = self._outbox.counts()
        records = {}
        for name, dispatcher in list(self._dispatchers.items()):
            found = dict(counts.get(name, {"messages": 0, "refused": 0, "dropped": 0}))
            oldest_s = found.pop("oldest_queued_s", None)
            records[name] = {
                "kind": self._configs[name].kind,
                "is_up": dispatcher.is_up,
                "error": dispatcher.error,
                "oldest_s": 0.0 if oldest_s is None else round(max(0.0, now_s - oldest_s), 3),
                **found,
            }
        return records
